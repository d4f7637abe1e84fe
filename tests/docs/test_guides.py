"""The programs in the guides run as they stand, without a warning, and print what stands below them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).parents[2]

#: A program, and what it prints if that follows at once.
PROGRAM = re.compile(r"^```python\n(?P<program>.*?)^```\n(\n```text\n(?P<prints>.*?)^```\n)?", re.MULTILINE | re.DOTALL)

TIMEOUT_S = 60


class Program(Struct, frozen=True):
    text: str
    prints: str | None


def _programs() -> dict[str, Program]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
    return {
        f"{page.name}:{page.read_text()[: found.start()].count(chr(10)) + 1}": Program(
            found["program"], found["prints"]
        )
        for page in pages
        for found in PROGRAM.finditer(page.read_text())
    }


PROGRAMS = _programs()


def test_there_are_programs() -> None:
    assert PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_program_of_a_guide_runs_and_prints_what_stands_below_it(program: Program, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert program.prints is None or ran.stdout == program.prints
