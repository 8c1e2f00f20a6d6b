"""The records that pass between the stages of ingest; all frozen."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from encoders.base import FloatMatrix, SparseVector

Level = Literal["fine", "coarse"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was read: file and, for line-based formats, 1-based line."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus."""

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=lambda: Origin("<memory>"))

    def content_hash(self) -> str:
        """SHA-256 over title and text: equal for documents that say the same."""
        return hashlib.sha256(f"{self.title}\0{self.text}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: what is encoded and indexed.

    Attributes:
        doc_id: The document it belongs to.
        ordinal: Position among the document's chunks, from 0, counted over both levels.
        text: ``document.text[start:end]``.
        start: First character in the document's text.
        end: One past the last character.
        level: ``coarse`` chunks are the first stage of a two-stage retrieval.
        parent: ``id`` of the coarse chunk that holds this fine one.
    """

    doc_id: str
    ordinal: int
    text: str
    start: int
    end: int
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    level: Level = "fine"
    parent: str | None = None

    @property
    def id(self) -> str:
        """The id under which the chunk is stored; the same for every run over the same source."""
        return f"{self.doc_id}#{self.ordinal}"

    @property
    def passage(self) -> str:
        """What encoders read: the title, if there is one, and the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text

    def fingerprint(self) -> str:
        """SHA-256 over everything that is stored, so that a restart can tell what is done."""
        parts = [self.id, self.title, self.text, self.start, self.end, self.level, self.parent]
        body = json.dumps([*parts, self.metadata], sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """A chunk with what the encoders made of it; a leg that does not know its language is empty.

    Attributes:
        chunk: The passage.
        dense: ``[dimension]`` vector.
        sparse: Token ids and weights.
        sparse_named: The same, keyed by token.
        encoder: Short fingerprints of the encoders, to tell versions apart later.
    """

    chunk: Chunk
    dense: FloatMatrix | None = None
    sparse: SparseVector | None = None
    sparse_named: Mapping[str, float] = field(default_factory=dict)
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """An input that was set aside: where it stood, why, and enough of it to find it again."""

    origin: Origin
    reason: str
    doc_id: str | None = None
    raw: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The reject as one line of the rejects file."""
        return {
            "file": self.origin.file,
            "line": self.origin.line,
            "id": self.doc_id,
            "reason": self.reason,
            "raw": self.raw,
        }


@dataclass(frozen=True, slots=True)
class Window:
    """Some documents with all of their chunks, and what was set aside on the way.

    Attributes:
        chunks: Chunks of whole documents.
        counts: Number of chunks per document.
        origins: Where each document was read.
        rejects: Inputs that were set aside since the window before.
    """

    chunks: tuple[Chunk, ...]
    counts: Mapping[str, int]
    origins: Mapping[str, Origin]
    rejects: tuple[Reject, ...]
