"""The mesh: how tasks without network namespaces are reached, by port and by name.

It stands between an agent and its executor, whichever that is: `Mesh.over` wraps those of this process's nodes. So it
knows of each task what its agent was told, which is durable, and when it really runs. That is what the engines of a
swarm go by, too. It is no part of the log.

- a published port listens once on each address of the machine, and gives new connections to the tasks in turn;
- a task counts as running when its executor says so (healthy, where there is a health check) and its port is open;
- before a task is told to stop it gets no new connections, and a moment to end those that it has;
- names are answered by a small DNS server, to each task those of the networks that it is on.
"""
