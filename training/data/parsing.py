"""One line of training data to one record, or to the reason why not."""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ingest.readers.checks import (
    BadRecordError,
    check_characters,
    decode,
    describe,
    without_bom,
)
from ingest.readers.lines import Line
from training.data.records import TrainingRecord

_PAIR_KEYS = ("query_id", "query", "pos", "neg", "pos_scores", "neg_scores", "pos_ids", "neg_ids")
_TRIPLET_KEYS = ("query_id", "query", "anchor", "positive", "negative")
_NUMBERED = re.compile(r"negative_\d+")
_ID_KEYS = {"pos": ("pos_ids", "pos_id"), "neg": ("neg_ids", "neg_id")}


class RecordFault(Exception):
    """One line cannot become a record."""


def parse_object(line: Line) -> dict[str, Any]:
    """Decode a line as one JSON object.

    Raises:
        RecordFault: Too long, not UTF-8, not JSON, a key twice, or not an object.
    """
    if line.overlong:
        msg = "the line is longer than 64 MiB; one record per line"
        raise RecordFault(msg)
    try:
        content = without_bom(line.content, "utf-8") if line.number == 1 else line.content
        value = _DECODER.decode(decode(content, "utf-8"))
    except BadRecordError as error:
        raise RecordFault(str(error)) from error
    except (ValueError, RecursionError) as error:
        msg = f"bad JSON: {error}"
        raise RecordFault(msg) from error
    if not isinstance(value, dict):
        msg = f"the line holds {describe(value)}, not an object"
        raise RecordFault(msg)
    return value


def parse_record(values: Mapping[str, Any]) -> TrainingRecord:
    """An object as a record, whichever of the two forms it has.

    Raises:
        RecordFault: Something is missing, empty, of the wrong type, or contradicts itself.
    """
    record = _triplet(values) if "positive" in values else _pair(values)
    both = set(record.pos) & set(record.neg)
    if both:
        msg = f"the same text is relevant and not: {_shown(both.pop())}"
        raise RecordFault(msg)
    return record


def _pair(values: Mapping[str, Any]) -> TrainingRecord:
    _refuse_misspelt(values, _PAIR_KEYS)
    pos = _texts(values, "pos")
    neg = _texts(values, "neg") if values.get("neg") is not None else ()
    if not pos:
        msg = "pos is empty; give at least one relevant text"
        raise RecordFault(msg)
    return TrainingRecord(
        query=_text(values, "query"),
        pos=pos,
        neg=neg,
        pos_scores=_scores(values, "pos_scores", len(pos)),
        neg_scores=_scores(values, "neg_scores", len(neg)),
        query_id=_query_id(values),
        pos_ids=_ids(values, "pos", len(pos)),
        neg_ids=_ids(values, "neg", len(neg)),
    )


def _triplet(values: Mapping[str, Any]) -> TrainingRecord:
    numbered = sorted((k for k in values if _NUMBERED.fullmatch(k)), key=lambda k: (len(k), k))
    _refuse_misspelt(values, (*_TRIPLET_KEYS, *numbered))
    if "anchor" in values and "query" in values:
        msg = "both anchor and query are there; give one of them"
        raise RecordFault(msg)
    negatives = [key for key in ("negative", *numbered) if values.get(key) is not None]
    return TrainingRecord(
        query=_text(values, "anchor" if "anchor" in values else "query"),
        pos=(_text(values, "positive"),),
        neg=tuple(_text(values, key) for key in negatives),
        query_id=_query_id(values),
    )


def _refuse_misspelt(values: Mapping[str, Any], known: Sequence[str]) -> None:
    """Other keys may stand there, but none that is probably one of ours with a slip."""
    aliases = {name for names in _ID_KEYS.values() for name in names}
    for key in values:
        if key in known or key in aliases or _NUMBERED.fullmatch(key):
            continue
        near = difflib.get_close_matches(key, [k for k in known if len(k) > 3], n=1, cutoff=0.85)
        if near:
            msg = f"unknown key {key!r}; did you mean {near[0]!r}?"
            raise RecordFault(msg)


def _text(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        there = ", ".join(values) or "none"
        msg = f"no {key}; keys there: {there}. Expected query and pos, or anchor and positive"
        raise RecordFault(msg)
    return _checked_text(values[key], key)


def _checked_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        msg = f"{name} is {describe(value)}, not a string"
        raise RecordFault(msg)
    if not value.strip():
        msg = f"{name} is empty"
        raise RecordFault(msg)
    try:
        check_characters(name, value)
    except BadRecordError as error:
        raise RecordFault(str(error)) from error
    return value


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    if key not in values:
        there = ", ".join(values) or "none"
        msg = f"no {key}; keys there: {there}. Expected query and pos, or anchor and positive"
        raise RecordFault(msg)
    entries = _list(values[key], key)
    return tuple(_checked_text(entry, f"{key}[{i}]") for i, entry in enumerate(entries))


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        msg = f"{key} is {describe(value)}, not a list"
        raise RecordFault(msg)
    return value


def _scores(values: Mapping[str, Any], key: str, texts: int) -> tuple[float, ...] | None:
    if values.get(key) is None:
        return None
    scores = _list(values[key], key)
    if len(scores) != texts:
        msg = f"{key} has {len(scores)} entries for {texts} texts"
        raise RecordFault(msg)
    return tuple(_score(score, f"{key}[{i}]") for i, score in enumerate(scores))


def _score(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} is {describe(value)}, not a number"
        raise RecordFault(msg)
    if not math.isfinite(value):
        msg = f"{name} is not a finite number"
        raise RecordFault(msg)
    return float(value)


def _ids(values: Mapping[str, Any], which: str, texts: int) -> tuple[str, ...]:
    key = next((name for name in _ID_KEYS[which] if values.get(name) is not None), None)
    if key is None:
        return ()
    ids = _list(values[key], key)
    if len(ids) != texts:
        msg = f"{key} has {len(ids)} entries for {texts} texts"
        raise RecordFault(msg)
    return tuple(_id(value, f"{key}[{i}]") for i, value in enumerate(ids))


def _query_id(values: Mapping[str, Any]) -> str | None:
    return None if values.get("query_id") is None else _id(values["query_id"], "query_id")


def _id(value: Any, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _checked_text(value, name)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        msg = f"the key {double!r} comes twice"
        raise ValueError(msg)
    return values


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
