"""Names that a swarm takes (FACTS, chapter 1)."""

import re

from skep.core.rejected import Rejected

#: The longest label of the domain name system.
DNS_LABEL_MAX = 63

#: Letters and digits, with `-` and `_` inside. Written so that no input makes the match go back.
_DNS_LABEL = re.compile(r"[a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?")
_FILE_LIKE = re.compile(r"[a-zA-Z0-9](?:[-_.a-zA-Z0-9]{0,62}[a-zA-Z0-9])?")


def check_dns_name(name: str) -> None:
    """Reject what is no name of a service or a network."""
    if not name:
        raise Rejected.invalid("name must be provided")
    if not _DNS_LABEL.fullmatch(name):
        raise Rejected.invalid("name must be valid as a DNS name component")
    if len(name) > DNS_LABEL_MAX:
        raise Rejected.invalid(f"name must be {DNS_LABEL_MAX} characters or fewer")


def check_file_name(name: str) -> None:
    """Reject what is no name of a secret or a config."""
    if not name:
        raise Rejected.invalid("name must be provided")
    if not _FILE_LIKE.fullmatch(name):
        raise Rejected.invalid(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, "
            "and the start and end character must be [a-zA-Z0-9]"
        )
