"""Spans of time as people write them: ``7d``, ``2026-01-01..2026-02-01``."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from operations.feedback.errors import FeedbackError

_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMS = "a span up to now (30m, 12h, 7d, 4w) or a time in ISO 8601 (2026-01-31, 2026-01-31T08:00Z)"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time; an end that is absent is open.

    Attributes:
        since: Its first moment.
        until: The moment after its last.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            msg = f"the window ends ({self.until}) before it begins ({self.since})"
            raise FeedbackError(msg)

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies inside."""
        return not (
            (self.since is not None and moment < self.since)
            or (self.until is not None and moment >= self.until)
        )

    def as_dict(self) -> dict[str, str | None]:
        """JSON-ready values."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }


def parse_moment(text: str, now: datetime | None = None) -> datetime:
    """A moment: ISO 8601 (UTC unless it says otherwise), or a span before now.

    Raises:
        FeedbackError: It is neither.
    """
    if found := _SPAN.fullmatch(text.strip()):
        span = timedelta(**{_UNITS[found[2]]: int(found[1])})
        return (now or datetime.now(UTC)) - span
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        msg = f"{text!r} is no time; allowed: {_FORMS}"
        raise FeedbackError(msg) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_window(text: str, now: datetime | None = None) -> Window:
    """A span up to now, or ``FROM..TO`` where either end may be left out.

    Raises:
        FeedbackError: It is neither.
    """
    first, dots, last = text.partition("..")
    if not dots:
        return Window(parse_moment(first, now))
    return Window(
        parse_moment(first, now) if first.strip() else None,
        parse_moment(last, now) if last.strip() else None,
    )


def is_window(text: str) -> bool:
    """Whether a text has the form of a window; a file's name rarely has."""
    return ".." in text or _SPAN.fullmatch(text.strip()) is not None
