"""What a template is told: SwarmKit's context of a task, its types spelled as Go spells them."""

from collections.abc import Mapping

from msgspec import Struct

from skep.core.template.values import Record

ROOT = "*template.Context"
#: The context of a secret or config; it has further functions, and the same fields.
PAYLOAD_ROOT = "*template.PayloadContext"

_SERVICE = "struct { ID string; Name string; Labels map[string]string }"
_NODE = "struct { ID string; Hostname string; Platform template.Platform }"
_TASK = "struct { ID string; Name string; Slot string }"
_PLATFORM = "template.Platform"
TEXT = "string"
LABELS = "map[string]string"

#: The fields of each type, and their types.
FIELDS: Mapping[str, Mapping[str, str]] = {
    ROOT: {"Service": _SERVICE, "Node": _NODE, "Task": _TASK},
    _SERVICE: {"ID": TEXT, "Name": TEXT, "Labels": LABELS},
    _NODE: {"ID": TEXT, "Hostname": TEXT, "Platform": _PLATFORM},
    _TASK: {"ID": TEXT, "Name": TEXT, "Slot": TEXT},
    _PLATFORM: {"Architecture": TEXT, "OS": TEXT},
    TEXT: {},
}


class Subject(Struct, frozen=True, kw_only=True):
    """The task that something is expanded for; `slot` is the node's id where the task has no slot."""

    service_id: str
    service_name: str
    service_labels: Mapping[str, str]
    node_id: str
    node_hostname: str = ""
    architecture: str = ""
    os: str = ""
    task_id: str
    task_name: str
    slot: str


def context(subject: Subject, *, root: str = ROOT) -> Record:
    """Return what the template sees as its dot."""
    platform = Record(_PLATFORM, {"Architecture": subject.architecture, "OS": subject.os})
    labels = dict(subject.service_labels)
    return Record(
        root,
        {
            "Service": Record(_SERVICE, {"ID": subject.service_id, "Name": subject.service_name, "Labels": labels}),
            "Node": Record(_NODE, {"ID": subject.node_id, "Hostname": subject.node_hostname, "Platform": platform}),
            "Task": Record(_TASK, {"ID": subject.task_id, "Name": subject.task_name, "Slot": subject.slot}),
        },
    )
