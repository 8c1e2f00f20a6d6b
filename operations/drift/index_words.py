"""Which words of a query an index does not hold at all."""

from typing import Any

from encoders.lexical import NAME, LexicalEncoder
from opensearch.encoder_store import load_state
from opensearch.index_info import IndexInfo
from operations.drift.query_features import WordCheck


def unknown_to_index(client: Any, info: IndexInfo) -> WordCheck | None:
    """A check against the word statistics that an index keeps; ``None`` if it keeps none.

    Args:
        client: The client.
        info: The index.

    Raises:
        SearchBackendError: The statistics cannot be read.
    """
    fingerprint = info.notes.get("word_statistics")
    if fingerprint is None and info.sparse is not None and info.sparse.model == NAME:
        fingerprint = info.sparse.fingerprint
    if fingerprint is None:
        return None
    return unknown_to(LexicalEncoder.from_state(load_state(client, fingerprint)))


def unknown_to(encoder: LexicalEncoder) -> WordCheck:
    """Share of a text's content pieces that no document of an index holds.

    A text in a language that the vocabulary was not made for is unknown altogether.

    Args:
        encoder: The word statistics of the index.
    """
    frequencies = encoder.statistics.document_frequencies

    def share(text: str) -> float | None:
        if not encoder.knows([text])[0]:
            return 1.0
        pieces = encoder.vocabulary.counts([text]).ids
        return float((frequencies[pieces] == 0).mean()) if pieces.size else None

    return share
