"""From options to a chunker."""

from typing import TYPE_CHECKING

from ingest.chunking.chunker import Chunker, OneLevelChunker, TwoLevelChunker
from ingest.chunking.fitting import Fitter
from ingest.chunking.fixed import FixedSplitter
from ingest.chunking.options import TWO_LEVEL, ChunkOptions
from ingest.chunking.packing import PARAGRAPHS, SENTENCES, PackingSplitter
from ingest.chunking.recursive import RecursiveSplitter
from ingest.chunking.semantic import Embed, SemanticSplitter
from ingest.chunking.splitter import Splitter
from ingest.chunking.tokens import TokenCounter, TokenMeter
from ingest.errors import IngestError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def make_chunker(
    options: ChunkOptions,
    count_tokens: "TokenCounter | Tokenizer",
    embed: Embed | None = None,
) -> Chunker:
    """Build the chunker that the options describe.

    Args:
        options: Strategy and budget.
        count_tokens: The encoder's ``count_tokens``, or its ``tokenizers.Tokenizer`` (which also
            gives the strategy ``fixed`` exact token borders).
        embed: Embeds sentences; needed by ``semantic`` only.

    Raises:
        IngestError: The size leaves no room beside special tokens, or ``embed`` is missing.
    """
    meter = TokenMeter(count_tokens)
    if options.size <= meter.specials:
        msg = (
            f"chunk size {options.size} leaves no room: the encoder adds {meter.specials} special "
            "tokens to every passage"
        )
        raise IngestError(msg)
    if options.strategy == TWO_LEVEL:
        coarse = Fitter(RecursiveSplitter(meter, overlap=0), meter, options.coarse_tokens)
        fine = Fitter(RecursiveSplitter(meter, options.overlap), meter, options.size)
        return TwoLevelChunker(coarse, fine)
    return OneLevelChunker(Fitter(_splitter(options, meter, embed), meter, options.size))


def _splitter(options: ChunkOptions, meter: TokenMeter, embed: Embed | None) -> Splitter:
    match options.strategy:
        case "fixed":
            return FixedSplitter(meter, options.overlap)
        case "sentence":
            return PackingSplitter(meter, options.overlap, SENTENCES)
        case "paragraph":
            return PackingSplitter(meter, options.overlap, PARAGRAPHS)
        case "semantic":
            if embed is None:
                msg = "the chunking strategy semantic needs a dense encoder to compare sentences"
                raise IngestError(msg)
            return SemanticSplitter(meter, embed)
    return RecursiveSplitter(meter, options.overlap)
