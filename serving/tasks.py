"""What is done with texts: one side of one encoder, or the cross-encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from encoders.base import DenseEncoder, Encoder, Reranker, SparseEncoder, SparseVector
from encoders.batching import BatchPlan
from encoders.lexical import LexicalEncoder
from encoders.reading import Reading
from encoders.sparse import SpladeEncoder
from serving.errors import ServingError

I = TypeVar("I")  # noqa: E741  # input and output
O = TypeVar("O")  # noqa: E741

Side: TypeAlias = Literal["query", "document"]
Kind: TypeAlias = Literal["dense", "sparse", "rerank"]
Vector: TypeAlias = npt.NDArray[np.float32]
Pair: TypeAlias = tuple[str, str]

SIDES: tuple[Side, ...] = ("query", "document")


@dataclass(frozen=True, slots=True)
class Task(Generic[I, O]):
    """One side of one encoder, as the batcher sees it.

    Attributes:
        kind: Which encoder.
        side: Which side of it.
        encode: Texts to results, one each; called in the encoder's thread.
        count: Tokens of each text, prompt included, before truncation.
        max_tokens: What of a text is read.
        max_batch_tokens: Tokens of one batch.
        max_rows: Texts of one batch.
        light: Whether it only tokenizes and looks up: such work waits for no network.
    """

    kind: Kind
    side: Side
    encode: Callable[[Sequence[I]], Sequence[O]]
    count: Callable[[Sequence[I]], list[int]]
    max_tokens: int
    max_batch_tokens: int
    max_rows: int
    light: bool = False

    @property
    def name(self) -> str:
        """For messages: ``dense query``."""
        return self.kind if self.kind == "rerank" else f"{self.kind} {self.side}"


def dense_task(encoder: DenseEncoder, side: Side) -> Task[str, Vector]:
    """One side of a dense encoder."""
    encode = encoder.encode_queries if side == "query" else encoder.encode_documents

    def rows(texts: Sequence[str]) -> Sequence[Vector]:
        found = encode(texts)
        if not np.isfinite(found).all():
            msg = "the dense encoder gave something that is not a number"
            raise ServingError(msg)
        return list(found)

    plan = _plan(encoder)
    count = _counter(encoder, side)
    return Task("dense", side, rows, count, encoder.max_tokens, plan.max_tokens, plan.max_rows)


def sparse_task(encoder: SparseEncoder, side: Side) -> Task[str, SparseVector]:
    """One side of a sparse encoder."""
    plan = _plan(encoder)
    return Task(
        kind="sparse",
        side=side,
        encode=encoder.encode_queries if side == "query" else encoder.encode_documents,
        count=_counter(encoder, side),
        max_tokens=encoder.max_tokens,
        max_batch_tokens=plan.max_tokens,
        max_rows=plan.max_rows,
        light=_is_light(encoder, side),
    )


def rerank_task(reranker: Reranker) -> Task[Pair, float]:
    """The cross-encoder; its texts are pairs of query and document."""
    plan = _plan(reranker)

    def scores(pairs: Sequence[Pair]) -> Sequence[float]:
        found = reranker.score_pairs(pairs)
        if not np.isfinite(found).all():
            msg = "the cross-encoder gave something that is not a number"
            raise ServingError(msg)
        return [float(score) for score in found]

    count = reranker.count_tokens
    limit = reranker.max_tokens
    return Task("rerank", "document", scores, count, limit, plan.max_tokens, plan.max_rows)


def _plan(encoder: object) -> BatchPlan:
    """The encoder's own bounds; services and tables have none."""
    plan = getattr(encoder, "plan", None)
    return plan if isinstance(plan, BatchPlan) else BatchPlan()


def _counter(encoder: Encoder, side: Side) -> Callable[[Sequence[str]], list[int]]:
    """Counts tokens with the side's prompt, which the encoder's own count leaves out."""
    prompt = ""
    if isinstance(encoder, Reading):
        text = encoder.model.settings.text
        prompt = text.query_prompt if side == "query" else text.document_prompt
    if not prompt:
        return encoder.count_tokens
    return lambda texts: encoder.count_tokens([prompt + text for text in texts])


def _is_light(encoder: SparseEncoder, side: Side) -> bool:
    if isinstance(encoder, LexicalEncoder):
        return True
    inference_free = isinstance(encoder, SpladeEncoder) and encoder.model.query_weights is not None
    return inference_free and side == "query"
