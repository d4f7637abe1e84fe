"""Makes the modules of `skep_adapters.swarmkit.wire` from the .proto files: what `make proto` runs.

protoc is that of grpcio-tools, the stubs are grpclib's; both are pinned in pyproject.toml, since other versions write
other text.
"""

import subprocess
import sys
from pathlib import Path

ADAPTER = Path(__file__).parents[2] / "adapters" / "skep_adapters" / "swarmkit"
PROTO = ADAPTER / "proto"
WIRE = ADAPTER / "wire"

#: Where protoc is to believe that the files lie: the modules import each other by it.
PACKAGE = "skep_adapters/swarmkit/wire"

#: What is generated, among what is written by hand in the same folder.
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_grpc.py")


def generate(folder: Path) -> None:
    """Write the modules into `folder`: messages for every file, stubs for those whose services workers call."""
    files = sorted(path.name for path in PROTO.glob("*.proto"))
    served = [name for name in files if name != "managers.proto" and "\nservice " in (PROTO / name).read_text()]
    plugin = Path(sys.executable).with_name("protoc-gen-grpclib_python")
    _protoc(files, f"--python_out={folder}", f"--pyi_out={folder}")
    _protoc(served, f"--plugin={plugin}", f"--grpclib_python_out={folder}")
    for path in sorted((folder / PACKAGE).iterdir()):
        path.rename(folder / path.name)
    inner = folder / PACKAGE
    while inner != folder:
        inner.rmdir()
        inner = inner.parent


def generated(folder: Path) -> dict[str, str]:
    """Return the generated modules in `folder`, by name."""
    return {path.name: path.read_text() for pattern in GENERATED for path in sorted(folder.glob(pattern))}


def _protoc(files: list[str], *options: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PACKAGE}={PROTO}", *options]
    subprocess.run([*command, *(f"{PACKAGE}/{name}" for name in files)], check=True)


if __name__ == "__main__":
    for name in generated(WIRE):
        (WIRE / name).unlink()
    generate(WIRE)
