"""Move an alias from one physical index to another, and hold writes back meanwhile."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opensearch.index_info import IndexInfo, read_index_info
from opensearch.indices import physical_indices
from opensearch.translation import translated
from operations.reindexing.errors import ReindexError
from operations.reindexing.patience import Patience


@dataclass(frozen=True, slots=True)
class Swap:
    """What an alias stood for.

    Attributes:
        before: Physical index before.
        after: Physical index now.
    """

    before: str
    after: str


def swap(client: Any, name: str, physical: str) -> Swap:
    """Let a logical name stand for another physical index, in one step.

    A search sees either the one or the other. Doing it again changes nothing.

    Raises:
        ReindexError: The name is no alias, or the physical index is not one of its versions.
        SearchBackendError: OpenSearch refused.
    """
    current = read_index_info(client, name)
    if current.physical == physical:
        return Swap(physical, physical)
    refuse_plain_index(current)
    target = read_index_info(client, physical)
    if target.notes.get("name") != name or target.physical != physical:
        msg = f"{physical!r} is no version of {name!r}; `tandem versions {name}` lists them."
        raise ReindexError(msg)
    remove = {"index": current.physical, "alias": name, "must_exist": True}
    add = {"index": physical, "alias": name, **_properties(client, current)}
    with translated(f"moving {name} to {physical}"):
        client.indices.update_aliases(body={"actions": [{"remove": remove}, {"add": add}]})
    return Swap(current.physical, physical)


def refuse_plain_index(info: IndexInfo) -> None:
    """Refuse a name that is an index itself: nothing could be built beside it.

    Raises:
        ReindexError: The name is no alias.
    """
    if info.physical == info.name:
        msg = (
            f"{info.name!r} is a physical index, not the alias of one, so no other can take its "
            "place. Use the name that `tandem index` was given."
        )
        raise ReindexError(msg)


def _properties(client: Any, current: IndexInfo) -> dict[str, Any]:
    """Filter, routing and so on, as somebody may have given them to the alias."""
    with translated(f"reading the alias {current.name}"):
        answer = client.indices.get_alias(index=current.physical, name=current.name)
    found: Mapping[str, Any] = answer[current.physical]["aliases"][current.name]
    return dict(found)


def other_aliases(client: Any, info: IndexInfo) -> list[str]:
    """Aliases of a physical index beside its logical name."""
    with translated(f"reading the aliases of {info.physical}"):
        answer = client.indices.get_alias(index=info.physical)
    return sorted(set(answer[info.physical]["aliases"]) - {info.name})


def block_writes(client: Any, info: IndexInfo, patience: Patience) -> None:
    """Refuse writes to an index; whatever had begun is done when this returns."""
    for physical in physical_indices(info):
        patience(
            f"holding back writes to {physical}",
            lambda physical=physical: client.http.put(f"/{physical}/_block/write"),  # type: ignore[misc]
        )


def unblock_writes(client: Any, info: IndexInfo, patience: Patience) -> None:
    """Let writes to an index through again."""
    _set(client, physical_indices(info), {"index.blocks.write": None}, patience)


def keep_tombstones(client: Any, info: IndexInfo, patience: Patience, span: str | None) -> None:
    """How long the server remembers what was deleted; ``None`` is its default, a minute."""
    _set(client, physical_indices(info), {"index.gc_deletes": span}, patience)


def _set(
    client: Any, indices: Iterable[str], settings: Mapping[str, Any], patience: Patience
) -> None:
    for physical in indices:
        patience(
            f"changing settings of {physical}",
            lambda physical=physical: client.indices.put_settings(index=physical, body=settings),  # type: ignore[misc]
        )


def is_blocked(client: Any, info: IndexInfo) -> bool:
    """Whether writes to an index are refused."""
    with translated(f"reading the settings of {info.physical}"):
        answer = client.indices.get_settings(index=info.physical)
    blocks = answer[info.physical]["settings"]["index"].get("blocks", {})
    return str(blocks.get("write", "false")) == "true"
