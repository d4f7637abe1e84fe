"""Names of images are read as Docker reads them."""

import pytest
from skep.ports.registry import RegistryError
from skep_adapters.registry.reference import Reference, parse

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "domain", "path", "which"),
    [
        ("nginx", "docker.io", "library/nginx", "latest"),
        ("nginx:1.25", "docker.io", "library/nginx", "1.25"),
        ("a/b", "docker.io", "a/b", "latest"),
        ("docker.io/nginx", "docker.io", "library/nginx", "latest"),
        ("index.docker.io/a/b:1", "docker.io", "a/b", "1"),
        ("localhost/a", "localhost", "a", "latest"),
        ("localhost:5000/a/b/c:x_1.-", "localhost:5000", "a/b/c", "x_1.-"),
        ("ghcr.io/a__b/c-d.e@" + DIGEST, "ghcr.io", "a__b/c-d.e", DIGEST),
        ("r.io/a:1@" + DIGEST, "r.io", "a", DIGEST),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
        ("Upper/a", "Upper", "a", "latest"),
    ],
)
def test_a_name_says_where_an_image_is(image: str, domain: str, path: str, which: str) -> None:
    assert parse(image) == Reference(domain, path, which)


def test_images_without_a_registry_are_docker_hubs() -> None:
    assert parse("nginx").host == "registry-1.docker.io"
    assert parse("r.io:80/nginx").host == "r.io:80"


@pytest.mark.parametrize(
    ("image", "status", "words"),
    [
        ("bad image", 400, "invalid reference format"),
        ("a:b:c/d", 400, "invalid reference format"),
        ("a@sha256:12", 400, "invalid reference format"),
        ("a:-x", 400, "invalid reference format"),
        ("a//b", 400, "invalid reference format"),
        ("r.io/../b", 400, "invalid reference format"),
        ("r.io/a\r\nb", 400, "invalid reference format"),
        ("-r.io/a", 400, "invalid reference format"),
        ("user@r.io/a", 400, "invalid reference format"),
        ("Nginx", 400, "invalid reference format: repository name must be lowercase"),
        ("a" * 300, 400, "repository name must not be more than 255 characters"),
        ("0" * 64, 500, "no manifest found for full image ID"),
    ],
)
def test_what_is_no_name_is_refused(image: str, status: int, words: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parse(image)
    assert (caught.value.status, str(caught.value)) == (status, words)
