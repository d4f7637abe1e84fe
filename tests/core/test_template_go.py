"""Templates without data give what Go gives: as the docker client said, and says where it is at hand."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from skep.core.template.evaluator import evaluate
from skep.core.template.functions import NAMES
from skep.core.template.mistake import TemplateError
from skep.core.template.parser import parse
from skep.core.template.values import Record

from tests.core.template_cases import CASES


def outcome(text: str) -> str:
    try:
        return evaluate(parse(text, NAMES), Record("struct {}", {}), size_max=10_000)
    except TemplateError as error:
        return str(error).removeprefix("template: expansion:").replace('executing "expansion"', 'executing ""')


@pytest.mark.parametrize(("text", "expected"), CASES.items())
def test_a_template_gives_what_go_gives(text: str, expected: str) -> None:
    assert outcome(text) == expected


@pytest.mark.skipif(shutil.which("docker") is None, reason="the docker client is not installed")
def test_the_docker_client_still_says_so(tmp_path: Path) -> None:
    def asked(text: str) -> str:
        done = subprocess.run(
            ["docker", "--config", str(tmp_path), "context", "inspect", "--format", text],
            capture_output=True,
            text=True,
            check=False,
        )
        return re.sub(r"(?s)^\s*template parsing error: template: :", "", done.stderr or done.stdout).removesuffix("\n")

    version = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.findall(r"\d+", version)[0]) < 28:
        pytest.skip(f"older clients have an older Go: {version.strip()}")
    assert {text: asked(text) for text in CASES} == CASES
