"""A search with everything that was asked for around it: HyDE, instructions, stages, reranking."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoders.base import DenseEncoder
from encoders.dense import TransformerDenseEncoder
from encoders.llm.chat import ChatClient
from encoders.llm.hyde import HydeEncoder
from encoders.llm.instructed import InstructedEncoder, fixed_instruction, written_instruction
from encoders.options import LoadOptions
from encoders.registry import load_reranker
from opensearch.errors import SettingsError
from opensearch.index_info import IndexInfo
from opensearch.plan import QueryEncoders
from opensearch.reranking import DEFAULT_CANDIDATES, Reranking, Searches
from opensearch.search import Searcher
from opensearch.two_stage import DEFAULT_DOCUMENTS, TwoStage
from opensearch.workflows.query_encoders import load_query_encoders

WRITTEN = "auto"


@dataclass(frozen=True, slots=True)
class Refinements:
    """What a search does beyond fusing three legs; everything is off by default.

    Attributes:
        reranker: Cross-encoder that reads the first hits.
        candidates: How many it reads.
        two_stage: Find documents by coarse chunks, then passages inside them.
        documents: How many documents the coarse stage hands on.
        llm: ``MODEL@URL`` of an OpenAI-compatible endpoint, for the two below.
        hyde: Passages it writes per query, 0 for none.
        hyde_prompt: Template of one's own for them.
        instruction: What the dense model is told to look for; ``auto``: the LLM says it.
        instruction_prompt: Template of one's own for that.
    """

    reranker: str | None = None
    candidates: int = DEFAULT_CANDIDATES
    two_stage: bool = False
    documents: int = DEFAULT_DOCUMENTS
    llm: str | None = None
    hyde: int = 0
    hyde_prompt: Path | None = None
    instruction: str | None = None
    instruction_prompt: Path | None = None

    def __post_init__(self) -> None:
        if (self.hyde or self.instruction == WRITTEN) and self.llm is None:
            msg = "HyDE and --instruction auto need an LLM: name it with --llm MODEL@URL"
            raise SettingsError(msg)
        if self.hyde and self.instruction is not None:
            msg = "HyDE and an instruction exclude each other: choose one"
            raise SettingsError(msg)

    def names(self) -> list[str]:
        """What is switched on, in the words of the options."""
        on = {
            "two-stage": self.two_stage,
            "hyde": bool(self.hyde),
            "instruction": self.instruction is not None,
            "rerank": self.reranker is not None,
        }
        return [name for name, wanted in on.items() if wanted]


def open_retrieval(
    client: Any,
    info: IndexInfo,
    options: LoadOptions,
    refinements: Refinements,
    *,
    dense: str | None = None,
    sparse: str | None = None,
) -> Searches:
    """A search over an index, refined as asked.

    Args:
        client: The client.
        info: The index.
        options: How models are loaded.
        refinements: What is put around the search.
        dense: Load the dense encoder from here instead; it must be the same model.
        sparse: The same for the sparse encoder.

    Raises:
        EncoderMismatchError: A loaded encoder is not the one that built the index.
        EncoderError: A model cannot be loaded, or takes no instruction.
        SettingsError: The index has one level of chunks, or the query has nothing to refine.
    """
    encoders = load_query_encoders(client, info, options, dense=dense, sparse=sparse)
    searcher = Searcher(client, info, _refined(encoders, refinements))
    return staged(searcher, info, options, refinements)


def staged(
    search: Searches, info: IndexInfo, options: LoadOptions, refinements: Refinements
) -> Searches:
    """The stages around a search, whoever encodes its queries.

    Args:
        search: Finds the candidates.
        info: The index.
        options: How a cross-encoder is loaded.
        refinements: What is put around the search.

    Raises:
        EncoderError: The cross-encoder cannot be loaded.
        SettingsError: The index has one level of chunks.
    """
    if refinements.two_stage:
        search = TwoStage(search, info, refinements.documents)
    if refinements.reranker is not None:
        reranker = load_reranker(refinements.reranker, _for_reranker(options))
        search = Reranking(search, reranker, refinements.candidates)
    return search


def _for_reranker(options: LoadOptions) -> LoadOptions:
    """What was said of the encoders' texts says nothing of a cross-encoder's."""
    return replace(LoadOptions(), runtime=options.runtime, device=options.device)


def _refined(encoders: QueryEncoders, refinements: Refinements) -> QueryEncoders:
    if not refinements.hyde and refinements.instruction is None:
        return encoders
    if encoders.dense is None:
        msg = "HyDE and instructions change the dense leg, and this index has none"
        raise SettingsError(msg)
    return replace(encoders, dense=_refined_dense(encoders.dense, refinements))


def _refined_dense(dense: DenseEncoder, refinements: Refinements) -> DenseEncoder:
    if refinements.hyde:
        chat = _chat(refinements, temperature=0.0 if refinements.hyde == 1 else 0.7)
        return HydeEncoder(dense, chat, refinements.hyde, refinements.hyde_prompt)
    if not isinstance(dense, TransformerDenseEncoder):
        msg = f"{dense.identity.model} is a service: it takes no instruction from here"
        raise SettingsError(msg)
    said = refinements.instruction or ""
    if said == WRITTEN:
        chat = _chat(refinements, temperature=0.0)
        return InstructedEncoder(dense, written_instruction(chat, refinements.instruction_prompt))
    return InstructedEncoder(dense, fixed_instruction(said))


def _chat(refinements: Refinements, *, temperature: float) -> ChatClient:
    return ChatClient.at(refinements.llm or "", temperature=temperature)
