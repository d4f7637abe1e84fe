"""The marks: rare paths by name. A run of many seeds that does not reach each of them fails.

`scene` says how one is added. They stand in the modules beside it, by what they are seen on.
"""

from skep.testing.simulation.marks import attachments, jobs, nodes, services, swarm, tasks, updates
from skep.testing.simulation.marks.scene import KNOWN, NOTED, REFUSED, Scene

#: Every mark: those that are looked for are known once these are imported.
MARKED_BY = (updates, jobs, tasks, services, nodes, attachments, swarm)
MARKS: tuple[str, ...] = tuple(KNOWN)

__all__ = ["MARKED_BY", "MARKS", "NOTED", "REFUSED", "Scene"]
