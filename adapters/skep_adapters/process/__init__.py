"""Tasks as local processes: an executor for agents of our own, which needs no container engine.

- one executor is one agent's; it has one supervisor process, and every task has a keeper below that;
- nothing that a task started outlives the task, and no task outlives its agent, whichever of them is killed how;
- a process has no namespaces: the files, network and processes of the node are the task's too. What of a spec that
  leaves undone is refused where it would lose data (mounts) and named in a warning elsewhere.

Import from the modules (`skep_adapters.process.executor`, `.catalog`): the supervisor passes through here, and must
start fast, so nothing is imported here.
"""
