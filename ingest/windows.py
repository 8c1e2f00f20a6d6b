"""Group chunks into windows of whole documents."""

from collections.abc import Callable, Iterable, Iterator

from ingest.records import Chunk, Document, Origin, Reject, Window


class _Collector:
    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.counts: dict[str, int] = {}
        self.origins: dict[str, Origin] = {}
        self.rejects: list[Reject] = []

    def add(self, item: Document | Reject, chunk: Callable[[Document], Iterable[Chunk]]) -> None:
        if isinstance(item, Reject):
            self.rejects.append(item)
            return
        chunks = list(chunk(item))
        if not chunks:
            self.rejects.append(Reject(item.origin, "no text left to index", item.id))
            return
        self.chunks += chunks
        self.counts[item.id] = len(chunks)
        self.origins[item.id] = item.origin

    def window(self) -> Window:
        return Window(tuple(self.chunks), self.counts, self.origins, tuple(self.rejects))


def windows(
    items: Iterable[Document | Reject],
    chunk: Callable[[Document], Iterable[Chunk]],
    size: int,
) -> Iterator[Window]:
    """Chunk documents; yield a window whenever ``size`` chunks, or rejects, have come together."""
    collector = _Collector()
    for item in items:
        collector.add(item, chunk)
        if max(len(collector.chunks), len(collector.rejects)) >= size:
            yield collector.window()
            collector = _Collector()
    if collector.chunks or collector.rejects:
        yield collector.window()
