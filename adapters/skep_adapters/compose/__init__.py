"""Stack files: Compose files of version 3, as `docker stack deploy` reads them, become what the engine deploys.

A file goes through these steps; each is a module.

| step | module |
|---|---|
| text to plain values | `yaml_text` |
| variables | `interpolation`, `variables` |
| each value checked, short forms written out | `properties`, of `shapes`, `short_ports`, `short_volumes` |
| files laid over each other | `layering` |
| the stack's objects | `services`, `containers`, `mounts`, `objects` |

`stack_files` puts them together. What a wrong file is refused with names the file, the place in it, and the value.
"""

from skep_adapters.compose.stack_files import ComposeFiles

__all__ = ["ComposeFiles"]
