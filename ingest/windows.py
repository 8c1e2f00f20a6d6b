"""Group chunks into windows of whole documents."""

from collections.abc import Callable, Iterable, Iterator

from ingest.records import Chunk, Document, Origin, Reject, Window


class _Collector:
    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.counts: dict[str, int] = {}
        self.origins: dict[str, Origin] = {}
        self.rejects: list[Reject] = []

    def add(self, document: Document, chunks: list[Chunk]) -> None:
        self.chunks += chunks
        self.counts[document.id] = len(chunks)
        self.origins[document.id] = document.origin

    def window(self) -> Window:
        return Window(tuple(self.chunks), self.counts, self.origins, tuple(self.rejects))


def windows(
    items: Iterable[Document | Reject],
    chunk: Callable[[Document], Iterable[Chunk]],
    size: int,
) -> Iterator[Window]:
    """Chunk documents and yield a window whenever ``size`` chunks have come together."""
    collector = _Collector()
    for item in items:
        if isinstance(item, Reject):
            collector.rejects.append(item)
            continue
        chunks = list(chunk(item))
        if chunks:
            collector.add(item, chunks)
        else:
            collector.rejects.append(Reject(item.origin, "no text left to index", item.id))
        if len(collector.chunks) >= size:
            yield collector.window()
            collector = _Collector()
    if collector.chunks or collector.rejects:
        yield collector.window()
