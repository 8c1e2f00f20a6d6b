"""Version numbers: MAJOR.MINOR.PATCH, as semver.org orders them (no pre-releases)."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from operations.registry.errors import RegistryError

Part: TypeAlias = Literal["major", "minor", "patch"]
PARTS: tuple[Part, ...] = get_args(Part)
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}\Z")


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """A version of a model.

    Attributes:
        major: Rises when an index built with an older version must be built anew by hand.
        minor: Rises with every retraining.
        patch: Rises when files change and vectors do not: another export, another note.
    """

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read ``1.2.0``.

        Raises:
            RegistryError: It is no version.
        """
        found = _VERSION.match(text)
        if found is None:
            msg = f"{text!r} is no version; write MAJOR.MINOR.PATCH, e.g. 1.2.0"
            raise RegistryError(msg)
        return cls(*map(int, found.groups()))

    def bump(self, part: Part) -> "Version":
        """The next version, with the lower parts back at 0.

        Raises:
            RegistryError: ``part`` is none of major, minor, patch.
        """
        if part not in PARTS:
            msg = f"{part!r} is no part of a version; allowed: {', '.join(PARTS)}"
            raise RegistryError(msg)
        if part == "major":
            return Version(self.major + 1, 0, 0)
        if part == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


def is_version(text: str) -> bool:
    """Whether a text is written as a version."""
    return _VERSION.match(text) is not None
