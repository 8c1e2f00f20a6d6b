"""What of a log is kept: no personal data in texts, no client ids that lead to a person."""

import hashlib
import hmac
import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from ingest.masking import Masker
from ingest.records import Document
from operations.feedback.errors import FeedbackError
from operations.feedback.events import LogEvent, QueryEvent

Clients = Literal["hash", "drop", "keep"]

SALT_VARIABLE = "TANDEM_FEEDBACK_SALT"
MIN_SALT_CHARACTERS = 16
_PREFIX = "anon-"
_HASHED = re.compile(r"anon-[0-9a-f]{32}")

Event = TypeVar("Event", bound=LogEvent)


@dataclass(frozen=True)
class Privacy:
    """What happens to an event before it is written anywhere.

    Attributes:
        clients: ``hash``: client and session ids become HMAC-SHA-256 of them, keyed by the salt
            (the same client keeps the same name, and nobody without the salt finds it by
            guessing); ``drop``: they are left out; ``keep``: they are written as they are.
        salt: The key; needed only once there is an id to hash.
        masks: Whether personal data in queries and attributes is masked.
        masked: How many placeholders were put in, by kind; counted as events pass.
    """

    clients: Clients = "hash"
    salt: str | None = None
    masks: bool = True
    masked: Counter[str] = field(default_factory=Counter, compare=False)

    def __post_init__(self) -> None:
        if self.salt is not None and len(self.salt) < MIN_SALT_CHARACTERS:
            msg = (
                f"the salt has {len(self.salt)} characters; give at least {MIN_SALT_CHARACTERS} "
                "random ones, or client ids can be found by guessing"
            )
            raise FeedbackError(msg)

    @classmethod
    def of(cls, clients: Clients = "hash", salt_file: Path | None = None) -> "Privacy":
        """With the salt of a file, or of the environment variable ``TANDEM_FEEDBACK_SALT``.

        Raises:
            FeedbackError: The file cannot be read, or the salt is too short.
        """
        return cls(clients=clients, salt=read_salt(salt_file))

    def clean(self, event: Event) -> Event:
        """The event as it may be written.

        Raises:
            FeedbackError: An id is to be hashed and there is no salt.
        """
        changes: dict[str, Any] = {
            "client_id": self._identifier(event.client_id),
            "session_id": self._identifier(event.session_id),
        }
        if self.masks:
            masker = Masker()
            text = event.user_query if isinstance(event, QueryEvent) else ""
            masked = masker(Document(id="", text=text, metadata=event.attributes))
            changes["attributes"] = masked.metadata
            if isinstance(event, QueryEvent):
                changes["user_query"] = masked.text
            self.masked.update(masker.counts)
        return replace(event, **changes)

    def _identifier(self, value: str | None) -> str | None:
        if value is None or self.clients == "drop":
            return None
        if self.clients == "keep" or _HASHED.fullmatch(value):
            return value
        if self.salt is None:
            msg = (
                f"the log names clients, and there is no salt to hash them with: set "
                f"{SALT_VARIABLE} or give --salt-file (the same one every time), or drop the ids "
                "with --clients drop"
            )
            raise FeedbackError(msg)
        digest = hmac.new(self.salt.encode(), value.encode(), hashlib.sha256).hexdigest()
        return _PREFIX + digest[:32]


def read_salt(path: Path | None = None) -> str | None:
    """The salt of a file, or of the environment; ``None`` where neither is given.

    Raises:
        FeedbackError: The file cannot be read.
    """
    if path is None:
        return os.environ.get(SALT_VARIABLE) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the salt file {path} cannot be read: {error}"
        raise FeedbackError(msg) from error


class ClientCounts:
    """How many distinct clients issued each query, counted up to the number that matters.

    k-anonymity as of Sweeney, "k-anonymity: a model for protecting privacy" (2002), applied to the
    text of a query: nothing that fewer than k clients have typed leaves.
    """

    def __init__(self, least: int) -> None:
        """Count up to ``least`` clients per query."""
        self._least = least
        self._seen: dict[str, set[str] | None] = {}

    def add(self, key: str, client: str) -> None:
        """Note that a client issued a query."""
        seen = self._seen.setdefault(key, set())
        if seen is None:
            return
        seen.add(client)
        if len(seen) >= self._least:
            self._seen[key] = None  # enough: the names are not needed any more

    def enough(self, key: str) -> bool:
        """Whether a query was issued by enough clients."""
        return self._least <= 1 or self._seen.get(key, ()) is None
