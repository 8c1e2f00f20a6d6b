"""The texts that a log speaks of: from the index that was searched, or from a BEIR folder."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from encoders.batching import batched
from opensearch.index_info import IndexInfo
from opensearch.translation import refuse_errors, translated
from training.data.indexed_corpus import IndexedCorpus

_BATCH = 64
_MAX_CHUNKS = 10_000
# Longer than any encoder reads.
MAX_CHARACTERS = 100_000
_SOURCE = ("doc_id", "ordinal", "title", "text", "start", "end")


@dataclass(frozen=True, slots=True)
class StoredText:
    """A document or passage.

    Attributes:
        doc_id: The document.
        title: Its title.
        text: Its text, or that of the passage.
    """

    doc_id: str
    text: str
    title: str = ""

    @property
    def passage(self) -> str:
        """What encoders read."""
        return f"{self.title}\n{self.text}" if self.title else self.text


# An id of a log, and the passage that was shown of it, where the log says that.
Wanted: TypeAlias = tuple[str, str | None]


class TextSource(Protocol):
    """Where texts come from."""

    def documents(self, ids: Collection[str]) -> Iterator[tuple[str, StoredText]]:
        """Whole documents by the ids of a log; ids that are not found are left out."""
        ...

    def passages(self, wanted: Collection[Wanted]) -> Iterator[tuple[Wanted, StoredText]]:
        """What to learn from; what is not found is left out.

        Args:
            wanted: Objects, each with the passage that was shown of it.
        """
        ...


@dataclass(frozen=True)
class FolderTexts:
    """The corpus of a BEIR folder; its texts stay on disk.

    Attributes:
        folder: Holds ``corpus.jsonl``.
    """

    folder: Path

    def documents(self, ids: Collection[str]) -> Iterator[tuple[str, StoredText]]:
        """Whole documents.

        Raises:
            EvaluationError: The corpus is missing or faulty.
        """
        for doc_id in ids:
            if (place := self._places.get(doc_id)) is not None:
                yield doc_id, StoredText(doc_id, self._corpus.text(place))

    def passages(self, wanted: Collection[Wanted]) -> Iterator[tuple[Wanted, StoredText]]:
        """Whole documents too: a folder knows no passages."""
        found = dict(self.documents({name for name, _ in wanted}))
        return (((name, shown), found[name]) for name, shown in wanted if name in found)

    def close(self) -> None:
        """Close the corpus."""
        self._corpus.close()

    @cached_property
    def _corpus(self) -> IndexedCorpus:
        return IndexedCorpus(self.folder / "corpus.jsonl")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {doc_id: place for place, doc_id in enumerate(self._corpus.ids)}


@dataclass(frozen=True)
class IndexTexts:
    """The texts of an index.

    Ids of a log are looked up as documents, and those that are none as passages.

    Attributes:
        client: The client.
        info: The index.
    """

    client: Any
    info: IndexInfo

    def documents(self, ids: Collection[str]) -> Iterator[tuple[str, StoredText]]:
        """Whole documents, put together from their passages.

        Raises:
            SearchBackendError: OpenSearch failed.
        """
        for batch in batched(ids, _BATCH):
            missing = set(batch)
            for doc_id, text in self._whole(batch):
                missing.discard(doc_id)
                yield doc_id, text
            owners = {name: text.doc_id for name, text in self._chunks(sorted(missing))}
            whole = dict(self._whole(sorted(set(owners.values()))))
            for name, doc_id in owners.items():
                if doc_id in whole:
                    yield name, whole[doc_id]

    def passages(self, wanted: Collection[Wanted]) -> Iterator[tuple[Wanted, StoredText]]:
        """The passages that were shown; where the log names none, whole documents.

        Raises:
            SearchBackendError: OpenSearch failed.
        """
        for batch in batched(wanted, _BATCH):
            chunks = dict(self._chunks(sorted({shown or name for name, shown in batch})))
            rest = {name for name, shown in batch if (shown or name) not in chunks}
            whole = dict(self._whole(sorted(rest)))
            for name, shown in batch:
                found = chunks.get(shown or name) or whole.get(name)
                if found is not None:
                    yield (name, shown), found

    def close(self) -> None:
        """Nothing is held open."""

    def _chunks(self, ids: Sequence[str]) -> Iterator[tuple[str, StoredText]]:
        if not ids:
            return
        action = f"reading passages of {self.info.name}"
        with translated(action):
            answer = self.client.mget(
                index=self.info.physical, body={"ids": [*ids]}, params=_source_parameter()
            )
        refuse_errors(answer["docs"], action)
        for hit in answer["docs"]:
            if hit.get("found"):
                stored = hit["_source"]
                yield hit["_id"], StoredText(stored["doc_id"], stored["text"], stored["title"])

    def _whole(self, ids: Sequence[str]) -> Iterator[tuple[str, StoredText]]:
        if not ids:
            return
        body = {
            "size": _MAX_CHUNKS,
            "_source": [*_SOURCE],
            "query": {
                "bool": {"filter": [{"terms": {"doc_id": [*ids]}}, {"term": {"level": "fine"}}]}
            },
            "sort": ["doc_id", "ordinal"],
        }
        with translated(f"reading documents of {self.info.name}"):
            answer = self.client.search(
                index=self.info.physical, body={"search_pipeline": "_none", **body}
            )
        stored = (hit["_source"] for hit in answer["hits"]["hits"])
        for doc_id, chunks in groupby(stored, key=lambda chunk: str(chunk["doc_id"])):
            yield doc_id, _joined(doc_id, chunks)


def _joined(doc_id: str, chunks: Iterable[Mapping[str, Any]]) -> StoredText:
    """A document from its passages, which may overlap."""
    joined = StoredText(doc_id, "")
    end = 0
    for chunk in chunks:
        text, start = chunk["text"], chunk["start"]
        if start > end and joined.text:
            text = f"\n{text}"
        elif start < end:
            text = text[end - start :]
        joined = replace(joined, text=joined.text + text, title=chunk["title"])
        end = max(end, chunk["end"])
        if len(joined.text) > MAX_CHARACTERS:
            break
    return replace(joined, text=joined.text[:MAX_CHARACTERS])


def _source_parameter() -> dict[str, str]:
    return {"_source": ",".join(_SOURCE)}
