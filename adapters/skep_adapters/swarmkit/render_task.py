"""Tasks as their node is told of them."""

from collections.abc import Callable, Iterator, Sequence

from skep.model.network import Network
from skep.model.service import GenericResource
from skep.ports.link import AssignedTask

from skep_adapters.swarmkit.numbers import uint64
from skep_adapters.swarmkit.render_container import render_pull
from skep_adapters.swarmkit.render_driver import render_annotations, render_driver
from skep_adapters.swarmkit.render_endpoint import render_endpoint
from skep_adapters.swarmkit.render_network import render_network
from skep_adapters.swarmkit.render_resources import render_generic
from skep_adapters.swarmkit.render_spec import render_spec
from skep_adapters.swarmkit.render_status import render_status
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2, types_pb2

#: Makes a network's message: whoever sends many tasks remembers those it made.
NetworkRenderer = Callable[[Network], objects_pb2.Network]


def render_task(
    task: AssignedTask,
    *,
    spec: specs_pb2.TaskSpec | None = None,
    network: NetworkRenderer = render_network,
    resources: Sequence[GenericResource] = (),
) -> objects_pb2.Task:
    """Return a task.

    - `spec` is what `render_spec` makes of its template, for whoever sends many tasks of one;
    - `resources` are those that the scheduler gave it.
    """
    template = task.template
    rendered = objects_pb2.Task(
        id=task.id,
        spec=spec if spec is not None else render_spec(template),
        service_id=task.service_id,
        slot=uint64(task.slot),
        node_id=task.node_id,
        service_annotations=render_annotations(task.service_name, task.service_labels),
        status=render_status(task.status),
        desired_state=task.desired.name,
        networks=list(_attachments(task, network)),
        endpoint=render_endpoint(template, task.endpoint),
        log_driver=render_driver(template.spec.log_driver),
        spec_version=types_pb2.Version(index=uint64(task.spec_version)),
        assigned_generic_resources=render_generic(resources),
        job_iteration=_iteration(template.iteration) if template.iteration is not None else None,
    )
    if task.registry_auth is not None and rendered.spec.HasField("container"):
        # not with the rest of the spec: what is remembered of a template holds nothing secret
        rendered.spec.container.pull_options.CopyFrom(render_pull(task.registry_auth))
    return rendered


def _iteration(number: int) -> types_pb2.Version:
    return types_pb2.Version(index=uint64(number))


def _attachments(task: AssignedTask, render: NetworkRenderer) -> Iterator[objects_pb2.NetworkAttachment]:
    """Yield the networks of a task in their order; on a network of its node's own it has no address."""
    asked = {each.target: each.driver_opts for each in task.template.networks or task.template.spec.networks}
    for each in task.networks:
        yield objects_pb2.NetworkAttachment(
            network=render(each.network),
            addresses=[each.addr] if each.addr else None,
            aliases=each.aliases,
            driver_attachment_opts=asked.get(each.network.id) or asked.get(each.network.spec.name),
        )
