"""Fields that documents bring along: mapped in a copy as they are in its source.

Left to itself an index would guess the type of a new metadata field anew, from other documents
first.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opensearch.errors import SearchBackendError
from opensearch.index_info import IndexInfo
from opensearch.indices import physical_indices
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD
from operations.reindexing.patience import Patience
from operations.reindexing.shards import Stored

logger = logging.getLogger(__name__)

# Those of a copy are its own encoders'.
LEGS = (DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD)


class FieldSync:
    """Takes over the mapping of a source whenever documents have fields not seen before."""

    def __init__(
        self, client: Any, source: IndexInfo, target: IndexInfo, patience: Patience
    ) -> None:
        self._client = client
        self._patience = patience
        sources, targets = physical_indices(source), physical_indices(target)
        self._pairs = list(zip(sources, targets, strict=False))
        self._seen: set[str] = set()

    def __call__(self, page: Sequence[Stored]) -> None:
        """Look at documents that were read and are about to be written."""
        found = {path for stored in page for path in paths(stored.source.get("metadata") or {})}
        if found - self._seen:
            self._seen |= found
            self.take_over()

    def take_over(self) -> None:
        """Map everything as the source maps it now."""
        for source, target in self._pairs:
            wanted, known = self._properties(source), self._properties(target)
            new = {name: field for name, field in wanted.items() if known.get(name) != field}
            if new:
                self._put(target, new)

    def _properties(self, physical: str) -> dict[str, Any]:
        answer = self._patience(
            f"reading the mapping of {physical}",
            lambda: self._client.indices.get_mapping(index=physical),
        )
        properties = answer[physical]["mappings"]["properties"]
        return {name: field for name, field in properties.items() if name not in LEGS}

    def _put(self, physical: str, properties: Mapping[str, Any]) -> None:
        try:
            self._patience(
                f"mapping new fields of {physical}",
                lambda: self._client.indices.put_mapping(
                    index=physical, body={"properties": properties}
                ),
            )
        except SearchBackendError as error:
            # Both have got the field by themselves, with other types: values stay in `_source`.
            if getattr(error.__cause__, "status_code", None) != 400:
                raise
            logger.warning("%s", error)


def paths(metadata: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The fields of a document's metadata, nested ones by their whole path."""
    for name, value in metadata.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from paths(value, f"{prefix}{name}.")
