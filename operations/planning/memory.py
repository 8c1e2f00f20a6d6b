"""How much memory an index wants: what searches touch often, outside and inside the heap."""

from operations.planning.candidates import Candidate, M
from operations.planning.sizing import Corpus, Line, graph_bytes, searched_bytes

# Passages per segment from which SEISMIC builds its clusters; below it compares with all.
SEISMIC_THRESHOLD = 1_000_000
# The vendor's rule of thumb: 1 GB for a million documents.
SEISMIC_BYTES_PER_CHUNK = 1_000


def memory(corpus: Corpus, candidate: Candidate) -> list[Line]:
    """Bytes that should stay in memory, all copies counted.

    Vectors and graph are read through the operating system's page cache, so this is memory beside
    the heap. What BM25 and ``rank_features`` read is short-lived and counts nothing here.
    """
    lines = []
    n, copies = corpus.vectors, candidate.copies
    if candidate.dense is not None:
        each = searched_bytes(candidate.dimension, candidate.vectors)
        lines.append(
            Line(
                f"vectors as searched ({candidate.vectors}), page cache",
                copies * n * each,
                f"{copies} × {n:,.0f} × {each:,.0f} B",
            )
        )
        lines.append(
            Line(
                "HNSW graph, page cache",
                copies * candidate.shards * graph_bytes(n / candidate.shards),
                f"{copies} × the graph on disk, M = {M}",
            )
        )
    if candidate.sparse is not None and candidate.sparse_field == "seismic":
        lines.append(_seismic(corpus, candidate))
    return lines


def _seismic(corpus: Corpus, candidate: Candidate) -> Line:
    n, copies = corpus.chunks, candidate.copies
    if n / candidate.shards < SEISMIC_THRESHOLD:
        formula = f"0: fewer than {SEISMIC_THRESHOLD:,} passages in a shard are compared one by one"
        return Line("SEISMIC clusters, heap", 0.0, formula)
    amount = copies * n * SEISMIC_BYTES_PER_CHUNK
    formula = f"{copies} × {n:,.0f} × {SEISMIC_BYTES_PER_CHUNK:,} B (OpenSearch's rule of thumb)"
    return Line("SEISMIC clusters, heap", amount, formula)
