"""What an LLM wrote, read strictly: a JSON object with queries, or a fault."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.data.normalising import text_key
from training.data.synthesis.chunks import Passage

MAX_CHARACTERS = 400
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Written:
    """A query for a passage.

    Attributes:
        query: Its text.
        source: Who wrote it and how, e.g. ``llm-question`` or ``offline-title``.
    """

    query: str
    source: str


class AnswerFault(Exception):
    """An answer that cannot be used."""


def parse_answer(answer: str, passage: Passage, styles: Sequence[str], count: int) -> list[Written]:
    """The queries of an answer, at most as many as asked for.

    A code fence around the JSON is allowed, any other word is not.

    Raises:
        AnswerFault: No JSON of the wanted form, an empty or overlong query, the passage's own
            text, or nothing at all.
    """
    fenced = _FENCE.match(answer.strip())
    try:
        value = json.loads(fenced[1] if fenced else answer)
    except (ValueError, RecursionError) as error:
        msg = f"no JSON ({error})"
        raise AnswerFault(msg) from error
    entries = value.get("queries") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not entries:
        msg = 'no object {"queries": [...]} with at least one entry'
        raise AnswerFault(msg)
    found = {text_key(w.query): w for w in (_entry(entry, passage, styles) for entry in entries)}
    return list(found.values())[:count]


def _entry(entry: object, passage: Passage, styles: Sequence[str]) -> Written:
    values = entry if isinstance(entry, dict) else {"query": entry}
    query, style = values.get("query"), values.get("style")
    if not isinstance(query, str) or not query.strip():
        msg = "a query is empty or no string"
        raise AnswerFault(msg)
    query = " ".join(query.split())
    if len(query) > MAX_CHARACTERS:
        msg = f"a query has {len(query)} characters; at most {MAX_CHARACTERS}"
        raise AnswerFault(msg)
    if text_key(query) in (text_key(passage.text), text_key(passage.whole)):
        msg = "a query is the passage itself"
        raise AnswerFault(msg)
    return Written(query, f"llm-{style if style in styles else OTHER}")
