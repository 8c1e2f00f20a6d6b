"""What the cluster knows of an index: read from its mapping's ``_meta``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from encoders.base import EncoderIdentity
from opensearch.errors import EncoderMismatchError, IndexNotFoundError, SearchBackendError
from opensearch.index_spec import SparseField, seismic_name
from opensearch.mappings import META_KEY, PASSAGE_FIELD
from opensearch.translation import translated


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """An existing index: names, analyzers, encoders.

    Attributes:
        name: Logical name, as people search it.
        physical: The index behind it.
        analyzers: Analyzer per script group, the main one first.
        dense: Identity of the dense encoder, if the index has vectors.
        sparse: Identity of the sparse encoder, if it has token weights.
        sparse_field: Where the token weights live.
        notes: Everything in ``_meta``.
    """

    name: str
    physical: str
    analyzers: Mapping[str, str]
    dense: EncoderIdentity | None
    sparse: EncoderIdentity | None
    sparse_field: SparseField = "rank_features"
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seismic(self) -> str | None:
        """The companion index with the SEISMIC field, if there is one."""
        return seismic_name(self.physical) if self.sparse_field == "seismic" else None

    @property
    def two_level(self) -> bool:
        """Whether coarse chunks stand beside the fine ones."""
        return "coarse" in self.notes.get("levels", ())

    @property
    def portable(self) -> bool:
        """Whether it does without what OpenSearch before 3.2 lacks (see ``IndexSpec``)."""
        return bool(self.notes.get("portable"))

    def text_fields(self, script: str | None) -> list[str]:
        """The title and text fields whose analyzer suits a query in the given script.

        One field where the index has both in one.
        """
        others = list(self.analyzers)[1:]
        suffix = f".{script}" if script in others else ""
        names = [PASSAGE_FIELD] if self.portable else ["title", "text"]
        return [f"{name}{suffix}" for name in names]


def read_index_info(client: Any, name: str) -> IndexInfo:
    """Read an index's identity.

    Raises:
        IndexNotFoundError: There is no such index or alias.
        SearchBackendError: The name stands for several indices, or Tandem did not build it.
    """
    with translated(f"reading the mapping of {name}"):
        answer = client.indices.get_mapping(index=name)
    if len(answer) != 1:
        found = ", ".join(sorted(answer)) or "none"
        msg = f"{name!r} must stand for exactly one index, but stands for {found}."
        raise (SearchBackendError if answer else IndexNotFoundError)(msg)
    ((physical, body),) = answer.items()
    meta = body["mappings"].get("_meta", {}).get(META_KEY)
    if meta is None:
        msg = f"The index {name!r} was not built by Tandem: its mapping holds no encoder identity."
        raise SearchBackendError(msg)
    return info_from_meta(meta, name=name, physical=physical)


def info_from_meta(meta: Mapping[str, Any], *, name: str, physical: str) -> IndexInfo:
    """Build an ``IndexInfo`` from the ``_meta`` that ``index_meta`` wrote."""
    encoders = meta.get("encoders", {})
    dense, sparse = (
        EncoderIdentity(**encoders[leg]) if leg in encoders else None for leg in ("dense", "sparse")
    )
    return IndexInfo(
        name=name,
        physical=physical,
        analyzers=dict(meta["analyzers"]),
        dense=dense,
        sparse=sparse,
        sparse_field=meta["sparse_field"],
        notes=dict(meta),
    )


def check_encoder(
    expected: EncoderIdentity | None, given: EncoderIdentity | None, index: str
) -> None:
    """Refuse an encoder that did not build the index: its scores would mean nothing.

    Raises:
        EncoderMismatchError: The fingerprints differ, or the index has no such leg.
    """
    if given is None:
        return
    if expected is None:
        msg = f"The index {index!r} has no {given.kind} field; {given.model} has nothing to search."
        raise EncoderMismatchError(msg)
    if not given.searches(expected):
        msg = (
            f"The index {index!r} was built with the {expected.kind} encoder {expected.model} "
            f"({expected.fingerprint[:12]}), not with {given.model} ({given.fingerprint[:12]}). "
            f"Search with the former, or index the corpus again with the latter."
        )
        raise EncoderMismatchError(msg)
