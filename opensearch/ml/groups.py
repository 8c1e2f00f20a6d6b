"""Model groups: a name under which ML Commons counts versions.

A group's description is also where we note which encoder a sparse model is: ML Commons drops the
description of a model when its last chunk arrives, and takes no configuration for sparse ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch.ml.rest import Request, search, send

DESCRIPTION = "Made by Tandem."
MOST_GROUPS = 10_000
_PATH = "/model_groups"
_MOST_NOTES = 20
_HASH_LETTERS = 16
# Letters that ML Commons takes in a description, less the parentheses around a note.
_REFUSED = re.compile(r"""[^A-Za-z0-9 .,!?:@\-_'/"]+""")
_NOTE = re.compile(r"\(([0-9a-f]{16}) ([0-9a-f]+) ([^()]*)\)")


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A model group.

    Attributes:
        id: Its id.
        name: Its name, which no other group has.
        description: Free text, our notes in it.
    """

    id: str
    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class GroupNote:
    """Which encoder an uploaded file is.

    Attributes:
        content_hash: SHA-256 of the file.
        fingerprint: Of the encoder.
        source: Name under which the encoder is loaded.
    """

    content_hash: str
    fingerprint: str
    source: str


def list_groups(client: Any) -> dict[str, GroupInfo]:
    """Every model group the user may see, by id."""
    fields = ["name", "description"]
    body = {"query": {"match_all": {}}, "size": MOST_GROUPS, "_source": fields}
    hits = search(client, _PATH, body, "listing model groups")
    found = (read_group(hit["_id"], hit["_source"]) for hit in hits)
    return {group.id: group for group in found}


def read_group(group_id: str, source: Mapping[str, Any]) -> GroupInfo:
    """A group from the document that ML Commons keeps of it."""
    return GroupInfo(group_id, str(source.get("name", "")), str(source.get("description") or ""))


def find_group(client: Any, name: str) -> GroupInfo | None:
    """The group with exactly this name."""
    return next((group for group in list_groups(client).values() if group.name == name), None)


def ensure_group(client: Any, name: str, description: str = DESCRIPTION) -> str:
    """Have a model group, registering it when missing.

    Returns:
        Its id.
    """
    found = find_group(client, name)
    if found is not None:
        return found.id
    body = {"name": name, "description": description}
    request = Request("POST", f"{_PATH}/_register", body)
    answer = send(client, request, f"registering the model group {name}")
    return str(answer["model_group_id"])


def write_note(client: Any, group_id: str, note: GroupNote) -> None:
    """Note in a group's description which encoder a file is."""
    request = Request("GET", f"{_PATH}/{group_id}")
    group = read_group(group_id, send(client, request, "reading a model group"))
    if note_of(group.description, note.content_hash) == plain(note):
        return
    body = {"description": with_note(group.description, note)}
    send(client, Request("PUT", f"{_PATH}/{group_id}", body), "describing a model group")


def delete_group(client: Any, group_id: str) -> None:
    """Delete a model group; ML Commons refuses while it holds a model."""
    send(client, Request("DELETE", f"{_PATH}/{group_id}"), "deleting an empty model group")


def with_note(description: str, note: GroupNote) -> str:
    """A description with one more note; the oldest notes go where there are too many."""
    made = plain(note)
    notes = [found for found in _notes(description) if found.content_hash != made.content_hash]
    kept = [*notes, made][-_MOST_NOTES:]
    text = _NOTE.sub("", description).strip() or DESCRIPTION
    return " ".join([text, *(f"({n.content_hash} {n.fingerprint} {n.source})" for n in kept)])


def note_of(description: str, content_hash: str | None) -> GroupNote | None:
    """What a description says of a file."""
    if content_hash is None:
        return None
    start = content_hash[:_HASH_LETTERS]
    return next((note for note in _notes(description) if note.content_hash == start), None)


def plain(note: GroupNote) -> GroupNote:
    """A note as a description can hold it."""
    source = _REFUSED.sub("-", note.source)
    return GroupNote(note.content_hash[:_HASH_LETTERS], note.fingerprint, source)


def _notes(description: str) -> list[GroupNote]:
    return [GroupNote(*found) for found in _NOTE.findall(description)]
