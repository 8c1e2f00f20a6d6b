"""Everything that is decided before an index is created."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from encoders.base import EncoderIdentity
from opensearch.errors import SettingsError

DenseEngine = Literal["lucene", "faiss"]
SparseField = Literal["rank_features", "seismic"]
Compression = Literal["1x", "4x"]

# Token ids above it overflow in OpenSearch 3.6: a 500, or silently no hits.
SEISMIC_MAX_TOKEN = 32767
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index as it is to be created.

    Attributes:
        name: Logical name: the alias that people search.
        analyzers: Analyzer per script group, the corpus's main one first.
        dense: The encoder of the ``dense`` field; ``None`` leaves the field out.
        sparse: The encoder of the sparse field; ``None`` leaves it out.
        sparse_field: ``seismic`` puts the token weights into a second physical index.
        dense_engine: ``faiss`` needs native libraries on every node.
        compression: ``4x`` searches by seven bits per component; the full vectors stay on disk.
        m: HNSW links per vector.
        ef_construction: HNSW candidates looked at while building.
        shards: Primary shards.
        replicas: Copies of each shard.
        max_sparse_weight: Largest document weight SEISMIC's byte quantisation must represent.
        portable: Whether the index must do without what OpenSearch before 3.2 lacks: title and
            text are also indexed as one field, and the client fuses the legs.
        notes: Further facts to keep in ``_meta``.
    """

    name: str
    analyzers: Mapping[str, str] = field(default_factory=lambda: {"latin": "english"})
    dense: EncoderIdentity | None = None
    sparse: EncoderIdentity | None = None
    sparse_field: SparseField = "rank_features"
    dense_engine: DenseEngine = "lucene"
    compression: Compression = "1x"
    m: int = 16
    ef_construction: int = 128
    shards: int = 1
    replicas: int = 0
    max_sparse_weight: float = 3.0
    portable: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_index_name(self.name)
        if not self.analyzers:
            msg = "an index needs at least one analyzer"
            raise SettingsError(msg)
        if self.compression == "4x" and self.dense_engine != "lucene":
            msg = "compression 4x is Lucene's; use it with --dense-engine lucene"
            raise SettingsError(msg)
        too_wide = self.sparse is not None and self.sparse.dimension - 1 > SEISMIC_MAX_TOKEN
        if self.sparse_field == "seismic" and too_wide:
            msg = (
                f"SEISMIC takes token ids up to {SEISMIC_MAX_TOKEN}; {self.sparse.model} has a "  # type: ignore[union-attr]
                f"vocabulary of {self.sparse.dimension}. Use --sparse-field rank_features."  # type: ignore[union-attr]
            )
            raise SettingsError(msg)

    @property
    def physical(self) -> str:
        """The first physical index behind the logical name."""
        return f"{self.name}-v0-1"


def check_index_name(name: str) -> None:
    """Refuse what OpenSearch would refuse, with the rule in the message.

    Raises:
        SettingsError: The name is not allowed.
    """
    if not _NAME.match(name) or len(name.encode()) > 200:
        msg = (
            f"{name!r} is not an index name: lower-case letters, digits, '-', '_' and '.', "
            "starting with a letter or digit, at most 200 bytes."
        )
        raise SettingsError(msg)


def seismic_name(physical: str) -> str:
    """The companion index that holds the SEISMIC field of a physical index."""
    return f"{physical}-seismic"
