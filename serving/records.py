"""What is known about one request while it is in work: for its log line and its headers."""

import re
import secrets
from dataclasses import dataclass, field

from starlette.types import Scope

_SOUND_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = "tandem.record"


@dataclass(slots=True)
class RequestRecord:
    """Filled in on the way.

    Attributes:
        id: Given by the client where it is sound, else drawn.
        status: Of the answer; 0 as long as there is none.
        texts: Texts in the request.
        tokens: Tokens that were encoded.
        cut: Texts that were longer than the encoder reads.
        batch: Texts of the largest batch it had part in.
        code: Of the error.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    status: int = 0
    texts: int = 0
    tokens: int = 0
    cut: int = 0
    batch: int = 0
    code: str | None = None


def begin_record(scope: Scope) -> RequestRecord:
    """The record of a new request."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    record = RequestRecord(given) if _SOUND_ID.fullmatch(given) else RequestRecord()
    scope[_KEY] = record
    return record


def record_of(scope: Scope) -> RequestRecord:
    """The record of a request in work."""
    found = scope[_KEY]
    if not isinstance(found, RequestRecord):
        msg = "the request log must be the outermost middleware"
        raise TypeError(msg)
    return found
