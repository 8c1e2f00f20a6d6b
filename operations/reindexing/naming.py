"""Names of the physical indices behind a logical one: ``NAME-v<version>-<n>``."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from operations.reindexing.errors import ReindexError

_VERSION = re.compile(r"[a-z0-9][a-z0-9_.]*\Z")
FIRST_VERSION = "0"


class Build(NamedTuple):
    """Which build of which model version a physical index is."""

    version: str
    number: int


def check_version(version: str) -> None:
    """Refuse a version that cannot stand in an index name.

    Raises:
        ReindexError: It holds other letters than an index name may.
    """
    if not _VERSION.match(version) or len(version) > 40:
        msg = (
            f"{version!r} cannot be a version of an index: lower-case letters, digits, '.' and "
            "'_', starting with a letter or digit, at most 40. For example 1.2.0."
        )
        raise ReindexError(msg)


def physical_name(name: str, version: str, number: int) -> str:
    """The physical index of one build."""
    check_version(version)
    return f"{name}-v{version}-{number}"


def parse_physical(name: str, physical: str) -> Build | None:
    """Version and number of a physical index; ``None`` where the name says nothing of them."""
    prefix = f"{name}-v"
    version, dash, number = physical.removeprefix(prefix).rpartition("-")
    if not physical.startswith(prefix) or not dash or not number.isdigit():
        return None
    return Build(version, int(number)) if _VERSION.match(version) else None


def next_number(name: str, version: str, taken: Iterable[str]) -> int:
    """The first number behind all builds of a version."""
    builds = (parse_physical(name, physical) for physical in taken)
    return max((b.number for b in builds if b is not None and b.version == version), default=0) + 1
