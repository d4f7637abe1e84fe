"""Images of a stack's services by digest, as Docker's client has them: so that all nodes run the same one."""

from msgspec.structs import replace
from skep.core.rules.image import familiar
from skep.model.service import Placement, Platform, ServiceSpec
from skep.model.stack import StackSpec

from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.handle_distribution import described
from skep_adapters.docker_api.image_digest import no_digest


async def pinned_stack(call: Call, stack: StackSpec) -> tuple[StackSpec, list[str]]:
    """Return a stack whose images have their digests, and what is to be told of those that nobody knows.

    An image of which nobody knows the digest stays as it is.
    """
    known: dict[str, tuple[str, tuple[Platform, ...]] | None] = {}
    warnings: list[str] = []
    services = []
    for spec in stack.services:
        image = spec.container.image
        if image not in known:
            try:
                known[image] = await _asked(call, image)
            except ApiError:
                known[image] = None
                warnings.append(no_digest(image))
        found = known[image]
        services.append(_pinned(spec, *found) if found is not None else spec)
    return replace(stack, services=tuple(services)), warnings


async def _asked(call: Call, image: str) -> tuple[str, tuple[Platform, ...]] | None:
    if not image or "@" in image or not call.cluster.active:
        return None
    digest, platforms = await described(call, image)
    return (digest, platforms) if digest else None


def _pinned(spec: ServiceSpec, digest: str, platforms: tuple[Platform, ...]) -> ServiceSpec:
    task = spec.template
    container = replace(spec.container, image=f"{familiar(spec.container.image)}@{digest}")
    placement = replace(task.placement or Placement(), platforms=platforms) if platforms else task.placement
    return replace(spec, task_template=replace(task, container_spec=container, placement=placement))
