"""Images of services by digest, for clients that leave it to the engine to look that up: those before API 1.30.

Later clients ask for the digest themselves, and say it.
"""

from msgspec.structs import replace
from skep.core.rejected import Rejected
from skep.core.rules.image import check_image, familiar
from skep.model.service import ServiceSpec

from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.handle_distribution import digest_of


async def pinned(call: Call, spec: ServiceSpec) -> tuple[ServiceSpec, list[str]]:
    """Return a spec whose image has its digest, where the client leaves that to the engine, and what it is warned of.

    An image whose digest nobody knows stays as it is.
    """
    image, task = spec.container.image, spec.template
    left_to_us = call.before("1.30") and call.cluster.active
    if not left_to_us or not image or "@" in image or task.container_spec is None:
        return spec, []
    try:
        check_image(image)
    except Rejected:
        return spec, []  # what is no image is asked of nobody, and refused with the rest of the spec
    try:
        digest = await digest_of(call, image)
    except ApiError:
        return spec, [no_digest(image)]
    if not digest:
        return spec, []
    named = replace(task.container_spec, image=f"{familiar(image)}@{digest}")
    return replace(spec, task_template=replace(task, container_spec=named)), []


def no_digest(image: str) -> str:
    """Return what Docker warns of where nobody knows the digest of an image."""
    return (
        f"image {image} could not be accessed on a registry to record\nits digest. Each node will access {image} "
        "independently,\npossibly leading to different nodes running different\nversions of the image.\n"
    )
