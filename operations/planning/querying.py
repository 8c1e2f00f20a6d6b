"""What one query costs: the numbers that are read and compared, an upper bound for each leg."""

from operations.planning.candidates import Candidate, M
from operations.planning.constants import Constants
from operations.planning.memory import SEISMIC_THRESHOLD
from operations.planning.sizing import Corpus, Line

EF_SEARCH = 100
QUERY_WORDS = 6
QUERY_TOKENS = 10


def query_work(corpus: Corpus, candidate: Candidate) -> list[Line]:
    """Values read for one query: postings, components of vectors, token weights."""
    lines = [_words(corpus)]
    if candidate.dense is not None:
        lines.append(_vectors(corpus, candidate))
    if candidate.sparse is not None and corpus.sparse is not None:
        lines.append(_weights(corpus, candidate))
    return lines


def query_ms(candidate: Candidate, constants: Constants) -> float | None:
    """Milliseconds of the legs in a small index, one after the other; ``None`` if not measured."""
    legs = ["bm25"]
    legs += ["dense"] if candidate.dense else []
    legs += [candidate.sparse_field] if candidate.sparse else []
    if not all(leg in constants.query_ms for leg in legs):
        return None
    return sum(constants.query_ms[leg] for leg in legs)


def _words(corpus: Corpus) -> Line:
    """Postings of a query's words, were they as common as a posting's word is on average."""
    text = corpus.text
    each = text.postings / max(1, text.terms) * corpus.factor ** (1 - text.growth)
    amount = QUERY_WORDS * each
    return Line(
        "postings of words", amount, f"{QUERY_WORDS} words × {each:,.1f} postings of a word"
    )


def _vectors(corpus: Corpus, candidate: Candidate) -> Line:
    """HNSW looks at neighbours of ``ef`` vectors in each shard, half of them for the first time."""
    per_shard = min(corpus.vectors / candidate.shards, EF_SEARCH * M)
    amount = candidate.shards * per_shard * candidate.dimension
    formula = (
        f"{candidate.shards} shard(s) × min(passages, ef {EF_SEARCH} × M {M}) × "
        f"{candidate.dimension} components"
    )
    return Line("components of vectors", amount, formula)


def _weights(corpus: Corpus, candidate: Candidate) -> Line:
    assert corpus.sparse is not None
    n, entries = corpus.chunks, corpus.per_chunk(candidate)
    if candidate.sparse_field == "seismic" and n / candidate.shards < SEISMIC_THRESHOLD:
        return Line("token weights", n * entries, f"{n:,.0f} passages × {entries:.1f}: one by one")
    if candidate.sparse_field == "seismic":
        formula = f"{QUERY_TOKENS} tokens × clusters of at most 0.05 % of {n:,.0f} passages"
        return Line("token weights", QUERY_TOKENS * 0.0005 * n * entries, formula)
    each = n * entries / max(1, corpus.sparse.terms)
    formula = f"{QUERY_TOKENS} tokens × {each:,.1f} postings of a token"
    return Line("token weights", QUERY_TOKENS * each, formula)
