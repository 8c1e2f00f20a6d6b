"""When two texts are the same text: what is compared once case, signs and spaces do not count."""

import hashlib
import re
import unicodedata

_SPACE_AND_SIGNS = re.compile(r"[\W_]+")


def normalised(text: str) -> str:
    """A text without what does not matter to its identity: case, signs, spaces, width."""
    return _SPACE_AND_SIGNS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def text_key(text: str) -> str:
    """A short name of a normalised text, equal for texts that say the same.

    A text of signs alone is compared as it is.
    """
    return hashlib.sha256((normalised(text) or text).encode()).hexdigest()[:24]
