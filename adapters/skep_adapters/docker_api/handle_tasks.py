"""What is asked of tasks, their lines excepted.

Those of containers that people attached to networks are only listed where their runtime is asked for (recorded).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from msgspec import Struct
from skep.core.lookup import find_attachment, find_node, find_service, find_task
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.attachment import Attachment
from skep.model.ids import NodeId, Position, ServiceId
from skep.model.service import Service, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import Task

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import chosen, json_answer, list_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.filters import Filters
from skep_adapters.docker_api.render_network import Attachments
from skep_adapters.docker_api.render_task import render_attachment, render_task, render_template

_WORDS = frozenset(state.word for state in TaskState)


class _Found(Struct, frozen=True):
    """What was looked up in one turn: candidates, all that rendering and filtering them needs, and their groups."""

    tasks: Sequence[Task | Attachment]
    templates: Mapping[ServiceId, Mapping[Position, TaskTemplate]]
    services: Mapping[ServiceId, Service]
    #: labels of services that are gone
    departed: Mapping[ServiceId, Mapping[str, str]]
    node_ids: frozenset[NodeId]
    attachments: Attachments

    def template(self, task: Task) -> TaskTemplate:
        """Return what `task` runs."""
        return self.templates[task.service_id][task.origin.spec_version]

    def labels(self, task: Task) -> Mapping[str, str] | None:
        """Return the labels by which a task is found: it shows none, and those of its service are asked (recorded)."""
        service = self.services.get(task.service_id)
        return service.spec.labels if service is not None else self.departed.get(task.service_id)


class _Specs:
    """Rendered templates: a service's tasks share theirs."""

    def __init__(self, found: _Found) -> None:
        self._found = found
        self._rendered: dict[tuple[ServiceId, Position], dict[str, Any]] = {}

    def render(self, task: Task | Attachment) -> dict[str, Any]:
        """Return `task` for the answer."""
        if isinstance(task, Attachment):
            return render_attachment(task, self._found.attachments.render(task))
        key, template = (task.service_id, task.origin.spec_version), self._found.template(task)
        spec = self._rendered.get(key)
        if spec is None:
            spec = self._rendered[key] = render_template(template)
        given = self._found.attachments
        return render_task(
            task, spec, given.render(task), resources=given.resources(task), iteration=template.iteration
        )


async def list_tasks(call: Call) -> web.StreamResponse:
    """Answer the tasks that the filters want, by id."""
    filters = call.filters(status=500)

    def ask(state: ClusterState) -> _Found:
        filters.check(known.TASK)
        services = [find_service(state, ref) for ref in filters.get("service")]
        nodes = frozenset(find_node(state, ref).id for ref in filters.get("node"))
        _check_words(filters)
        return _look(state, services, nodes, attached="attachment" in filters.get("runtime"))

    found = await call.read(ask)
    tasks = await chosen(found.tasks, lambda task: _fits(filters, found, task), lambda task: task.id)
    return await list_answer(call.request, tasks, _Specs(found).render)


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one task."""

    def ask(state: ClusterState) -> dict[str, Any]:
        try:
            task = find_task(state, call.ref)
        except Rejected as error:
            if error.code is not Code.NOT_FOUND:
                raise
            attached = find_attachment(state, call.ref)
            return render_attachment(attached, Attachments(state, (), [attached]).render(attached))
        return _Specs(_Found([task], state.templates, {}, {}, frozenset(), Attachments(state, [task]))).render(task)

    return json_answer(await call.read(ask))


def _look(state: ClusterState, services: list[Service], nodes: frozenset[NodeId], *, attached: bool) -> _Found:
    """Copy references to the tasks in question, by the narrowest index, and to what they need."""
    if services:
        tasks = [task for service in services for task in state.tasks_of(service.id)]
    elif nodes:
        tasks = [task for node_id in sorted(nodes) for task in state.tasks_on(node_id)]
    else:
        tasks = list(state.tasks.values())
    templates: Mapping[ServiceId, Mapping[Position, TaskTemplate]]
    if services:
        templates = {one.id: dict(state.templates.get(one.id, {})) for one in services}
    else:
        templates = {service_id: dict(by_version) for service_id, by_version in state.templates.items()}
    containers = [*state.attachments.values()] if attached and not services else []
    attachments = Attachments(state, tasks, containers)
    return _Found([*tasks, *containers], templates, dict(state.services), dict(state.departed), nodes, attachments)


def _check_words(filters: Filters) -> None:
    for word in filters.get("desired-state"):
        if word not in _WORDS:
            raise ApiError(500, f"Invalid desired-state filter: '{word}'")


def _fits(filters: Filters, found: _Found, task: Task | Attachment) -> bool:
    if isinstance(task, Attachment):
        return (
            (not found.node_ids or task.node_id in found.node_ids)
            and filters.prefix("id", task.id)
            and filters.exact("desired-state", TaskState.RUNNING.word)
            # it has no name, no labels, and no template that could be outdated
            and not any(name in filters for name in ("name", "label", "_up-to-date"))
        )
    service = found.services.get(task.service_id)
    return (
        (not found.node_ids or task.node_id in found.node_ids)
        and filters.prefix("id", task.id)
        and ("name" not in filters or filters.prefix("name", _name(found, task)))
        and filters.exact("desired-state", task.desired.word)
        and filters.exact("runtime", "container")
        and filters.labels("label", found.labels(task))
        # any value of it means yes (recorded)
        and ("_up-to-date" not in filters or (service is not None and service.spec_version == task.origin.spec_version))
    )


def _name(found: _Found, task: Task) -> str:
    return f"{found.template(task).service_name}.{task.name_in_slot}.{task.id}"
