"""How small LZ4 makes what an index stores, counted without writing it.

Lucene keeps stored fields in chunks of about 80 KB: a dictionary from the start of the chunk, then
ten blocks that see the dictionary and themselves only (``LZ4WithPresetDictCompressionMode``). What
is counted is what LZ4's fast compressor writes: for every match of four or more bytes a token, the
literals before it, two bytes of distance, and a further byte for every 255 bytes of length (the LZ4
block format).
"""

from collections.abc import Iterable, Iterator

CHUNK = 80 * 1024
_BLOCKS = 10
_DICTIONARY_SHARE = 20
_SHORTEST = 4
# The format's last five bytes are literals, and no match starts within the last twelve.
_LAST_LITERALS = 5
_LAST_MATCH = 12
_FURTHEST = 65_535
_IN_TOKEN = 15


def stored_size(documents: Iterable[bytes], most_chunks: int | None = None) -> tuple[int, int]:
    """Bytes of some documents before and after compression as stored fields.

    Args:
        documents: What is stored, one document each.
        most_chunks: Look at so many chunks only, evenly spread.

    Returns:
        Bytes looked at, and what they take.
    """
    chunks = list(_chunks(documents))
    step = max(1.0, len(chunks) / (most_chunks or len(chunks) or 1))
    places = dict.fromkeys(int(i * step) for i in range(int(len(chunks) / step)))
    chosen = [chunks[place] for place in places]
    return sum(map(len, chosen)), sum(map(_chunk_size, chosen))


def _chunks(documents: Iterable[bytes]) -> Iterator[bytes]:
    """Whole documents until the size of a chunk is reached, as the writer gathers them."""
    pending = bytearray()
    for document in documents:
        pending += document
        if len(pending) >= CHUNK:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)


def _chunk_size(chunk: bytes) -> int:
    dictionary = min(_FURTHEST, len(chunk) // _DICTIONARY_SHARE)
    block = max(1, -(-(len(chunk) - dictionary) // _BLOCKS))
    head = chunk[:dictionary]
    total = _compressed(head, 0) if head else 0
    for start in range(dictionary, len(chunk), block):
        total += _compressed(head + chunk[start : start + block], dictionary)
    return total


def _compressed(data: bytes, start: int) -> int:
    """Bytes of ``data[start:]`` after compression with ``data[:start]`` as the dictionary."""
    seen: dict[bytes, int] = {data[i : i + _SHORTEST]: i for i in range(start - _SHORTEST + 1)}
    total, anchor, place = 0, start, start
    last, end = len(data) - _LAST_MATCH, len(data) - _LAST_LITERALS
    while place <= last:
        key = data[place : place + _SHORTEST]
        match = seen.get(key)
        seen[key] = place
        if match is None:
            place += 1
            continue
        stop = _match_end(data, match, place, end)
        total += _sequence(place - anchor, stop - place)
        anchor = place = stop
    return total + _sequence(len(data) - anchor, None)


def _match_end(data: bytes, match: int, place: int, end: int) -> int:
    stop, source = place + _SHORTEST, match + _SHORTEST
    while stop < end and data[stop] == data[source]:
        stop += 1
        source += 1
    return stop


def _sequence(literals: int, match: int | None) -> int:
    size = 1 + literals + _further(literals)
    return size if match is None else size + 2 + _further(match - _SHORTEST)


def _further(length: int) -> int:
    """Bytes of a length that does not fit into the token's four bits."""
    return 0 if length < _IN_TOKEN else (length - _IN_TOKEN) // 255 + 1
