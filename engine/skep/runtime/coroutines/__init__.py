"""Tasks as coroutines of the program that embeds the engine: an image is a name for an async function.

- `images`: which function a name stands for. `context`: what a function is given.
- `executor`: runs what is bound, and leaves the rest to another executor. `controller`, `run`: one task.
- `printing`: what tasks print. `asking`: whether one is well. `steps`: who held the loop.
- Nothing here can kill: a coroutine that ignores its cancellation is abandoned, and that is told.
"""
