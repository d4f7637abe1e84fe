"""Security options of a container.

What cannot be translated is never sent as less than was asked for: a profile that is not base64 goes as it is, and
the engine refuses the task.
"""

import base64
import binascii

from skep.model.container import CredentialSpec, Privileges, SeccompOpts, SELinuxContext

from skep_adapters.swarmkit.wire import types_pb2


def render_privileges(privileges: Privileges) -> types_pb2.Privileges:
    """Return the security options of a container."""
    credentials, labels = privileges.credential_spec, privileges.se_linux_context
    seccomp, apparmor = privileges.seccomp, privileges.app_armor
    return types_pb2.Privileges(
        credential_spec=_credentials(credentials) if credentials is not None else None,
        selinux_context=_selinux(labels) if labels is not None else None,
        seccomp=_seccomp(seccomp) if seccomp is not None else None,
        apparmor=(
            types_pb2.Privileges.AppArmorOpts(mode="DISABLED" if apparmor.mode == "disabled" else "DEFAULT")
            if apparmor is not None
            else None
        ),
        no_new_privileges=privileges.no_new_privileges,
    )


def _credentials(credentials: CredentialSpec) -> types_pb2.Privileges.CredentialSpec:
    if credentials.config:
        return types_pb2.Privileges.CredentialSpec(config=credentials.config)
    if credentials.file:
        return types_pb2.Privileges.CredentialSpec(file=credentials.file)
    return types_pb2.Privileges.CredentialSpec(registry=credentials.registry)


def _selinux(labels: SELinuxContext) -> types_pb2.Privileges.SELinuxContext:
    return types_pb2.Privileges.SELinuxContext(
        disable=labels.disable, user=labels.user, role=labels.role, type=labels.type, level=labels.level
    )


def _seccomp(seccomp: SeccompOpts) -> types_pb2.Privileges.SeccompOpts:
    modes = {"unconfined": "UNCONFINED", "custom": "CUSTOM"}
    return types_pb2.Privileges.SeccompOpts(mode=modes.get(seccomp.mode, "DEFAULT"), profile=_decoded(seccomp.profile))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()
