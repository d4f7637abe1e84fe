"""Rules of secrets and configs (FACTS, chapter 2; scenario 14)."""

from skep.core.rejected import Rejected
from skep.core.rules.names import check_file_name
from skep.model.secret import ConfigSpec, SecretSpec

#: Both limits are the first size that is refused (recorded), in bytes.
SECRET_SIZE_LIMIT = 512_000
CONFIG_SIZE_LIMIT = 1_024_000


def check_secret(spec: SecretSpec, size: int) -> None:
    """Reject a secret of a wrong name, of no data or too much (`size` in bytes), or of a driver that is not there."""
    check_file_name(spec.name)
    if spec.driver is not None:
        if not spec.driver.name:
            raise Rejected.invalid("secret driver must have a name")
        # its data would come from a plugin, of which skep has none
        raise Rejected.unknown(f'plugin "{spec.driver.name}" not found')
    _check_size("secret", size, SECRET_SIZE_LIMIT)


def check_config(spec: ConfigSpec) -> None:
    """Reject a config of a wrong name, of no data or too much."""
    check_file_name(spec.name)
    _check_size("config", len(spec.data), CONFIG_SIZE_LIMIT)


def _check_size(kind: str, size: int, limit: int) -> None:
    if not 0 < size < limit:
        raise Rejected.invalid(f"{kind} data must be larger than 0 and less than {limit} bytes")
