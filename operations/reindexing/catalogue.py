"""The versions of a logical index: what is current, what is being built, what is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from encoders.base import EncoderIdentity
from opensearch.errors import IndexNotFoundError
from opensearch.index_info import IndexInfo, info_from_meta, read_index_info
from opensearch.mappings import META_KEY
from opensearch.translation import translated
from operations.reindexing.naming import FIRST_VERSION, parse_physical
from operations.reindexing.state import BuildState
from operations.reindexing.target import CARRY_NOTE, VERSION_NOTE

State = Literal["current", "catching-up", "building", "ready", "old"]


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """One physical index behind a logical name.

    Attributes:
        physical: Its name.
        version: Version of its models.
        number: Which build of that version it is.
        current: Whether people search it.
        state: ``catching-up`` is current after a rollback, and not all that was written since is
            carried over; ``building`` and ``ready`` were never current.
        chunks: Passages.
        size_bytes: Of its primary shards, the companion's included.
        created: When it was created, in UTC.
        dense: Its dense encoder.
        sparse: Its sparse encoder.
        source: Physical index it was built from; ``None`` for one that was built from a corpus.
    """

    physical: str
    version: str
    number: int
    current: bool
    state: State
    chunks: int
    size_bytes: int
    created: str
    dense: EncoderIdentity | None
    sparse: EncoderIdentity | None
    source: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The version as JSON-ready values."""
        identities = {"dense": self.dense, "sparse": self.sparse}
        names = ("physical", "version", "number", "current", "state", "chunks", "size_bytes")
        return {
            **{name: getattr(self, name) for name in names},
            "created": self.created,
            "source": self.source,
            **{leg: e.as_dict() if e else None for leg, e in identities.items()},
        }


def version_of(info: IndexInfo) -> str:
    """Version of an index's models, as its notes or its name say."""
    noted = info.notes.get(VERSION_NOTE)
    build = parse_physical(info.name, info.physical)
    return str(noted or (build.version if build else FIRST_VERSION))


def version_infos(client: Any, name: str) -> dict[str, IndexInfo]:
    """Every physical index that belongs to a logical name, by its name.

    Raises:
        IndexNotFoundError: There is none.
    """
    with translated(f"listing the versions of {name}"):
        answer = client.indices.get_mapping(
            index=f"{name}-v*,{name}", params={"ignore_unavailable": "true"}
        )
    found = {}
    for physical, body in sorted(answer.items()):
        meta = body["mappings"].get("_meta", {}).get(META_KEY)
        # The companion of an index has the same notes and is no version of its own.
        if meta and meta.get("name") == name and not physical.endswith("-seismic"):
            found[physical] = info_from_meta(meta, name=name, physical=physical)
    if not found:
        msg = f"There is no index {name!r}. `tandem index SOURCE --index {name}` builds it."
        raise IndexNotFoundError(msg)
    return found


def index_versions(client: Any, name: str) -> list[IndexVersion]:
    """The versions of a logical index, the oldest first.

    Raises:
        IndexNotFoundError: There is no such index.
    """
    infos = version_infos(client, name)
    current = current_physical(client, name)
    sizes = _sizes(client, infos)
    found = [_version(info, current, sizes) for info in infos.values()]
    return sorted(found, key=lambda v: (v.created, v.number))


def current_physical(client: Any, name: str) -> str | None:
    """The physical index that a name stands for; ``None`` if there is none."""
    try:
        return read_index_info(client, name).physical
    except IndexNotFoundError:
        return None


def _version(
    info: IndexInfo, current: str | None, sizes: Mapping[str, tuple[int, int]]
) -> IndexVersion:
    state = BuildState.of(info)
    build = parse_physical(info.name, info.physical)
    chunks, size = sizes.get(info.physical, (0, 0))
    if info.seismic:
        size += sizes.get(info.seismic, (0, 0))[1]
    return IndexVersion(
        physical=info.physical,
        version=version_of(info),
        number=build.number if build else 1,
        current=info.physical == current,
        state=_state(info, state, current),
        chunks=chunks,
        size_bytes=size,
        created=str(info.notes.get("created", "")),
        dense=info.dense,
        sparse=info.sparse,
        source=state.source if state else None,
    )


def _state(info: IndexInfo, build: BuildState | None, current: str | None) -> State:
    if info.physical == current:
        return "catching-up" if info.notes.get(CARRY_NOTE) else "current"
    if build is not None and build.phase in ("building", "swapping"):
        return "building"
    return "ready" if build is not None and build.phase == "ready" else "old"


def _sizes(client: Any, infos: Mapping[str, IndexInfo]) -> dict[str, tuple[int, int]]:
    """Passages and bytes of each physical index, companions by themselves."""
    names = [n for i in infos.values() for n in (i.physical, i.seismic) if n]
    with translated("measuring the versions"):
        client.indices.refresh(index=",".join(names), params={"ignore_unavailable": "true"})
        answer = client.indices.stats(
            index=",".join(names), metric="docs,store", params={"forbid_closed_indices": "false"}
        )
    return {
        physical: (body["primaries"]["docs"]["count"], body["primaries"]["store"]["size_in_bytes"])
        for physical, body in answer["indices"].items()
        if "docs" in body["primaries"]
    }
