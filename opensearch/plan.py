"""From a query text to the clauses of every leg: what is sent, decided before it is sent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from encoders.base import DenseEncoder, Encoder, EncoderIdentity, SparseEncoder, named_weights
from opensearch.errors import SettingsError
from opensearch.exact_values import exact_values
from opensearch.fusion import LEGS, Fusion, Leg
from opensearch.index_info import IndexInfo
from opensearch.languages import main_script, with_parts
from opensearch.match_bounds import WordStatistics, match_bounds
from opensearch.model_queries import (
    QueryModels,
    neural_query,
    neural_sparse_query,
    seismic_model_query,
)
from opensearch.queries import (
    Clause,
    bm25_query,
    filtered,
    knn_query,
    seismic_query,
    sparse_query,
)

Mode = Literal["bm25", "dense", "sparse", "hybrid"]
MODES: tuple[Mode, ...] = ("bm25", "dense", "sparse", "hybrid")
MAX_RESULTS = 10_000


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search.

    Attributes:
        text: The query.
        mode: One leg, or ``hybrid`` for all that the index and the query allow.
        size: Hits on the page.
        offset: Hits before the page.
        filters: Clauses that every leg must satisfy (see ``parse_filters``).
        fusion: How legs are fused.
        level: ``fine`` or ``coarse`` chunks.
        ef_search: HNSW candidates looked at; the server's default if not given.
        leg_scores: Also ask for the score of each leg for each hit on the page.
        highlight: Also ask for fragments with the matched words marked.
        tokens: Also return the heaviest token weights of each hit.
        ids_only: Return ids and scores without texts, for evaluation.
    """

    text: str
    mode: Mode = "hybrid"
    size: int = 10
    offset: int = 0
    filters: Sequence[Clause] = ()
    fusion: Fusion = field(default_factory=Fusion)
    level: Literal["fine", "coarse"] = "fine"
    ef_search: int | None = None
    leg_scores: bool = False
    highlight: bool = False
    tokens: bool = False
    ids_only: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            msg = f"unknown mode {self.mode!r}; allowed: {', '.join(MODES)}"
            raise SettingsError(msg)
        if not self.text.strip():
            msg = "the query is empty"
            raise SettingsError(msg)
        if self.size < 1 or self.offset < 0 or self.offset + self.size > MAX_RESULTS:
            msg = f"size must be at least 1 and offset + size at most {MAX_RESULTS}"
            raise SettingsError(msg)

    @property
    def depth(self) -> int:
        """Candidates each leg contributes: deep enough for the page.

        Candidates are passages and hits are documents, so twice as many are asked for.
        """
        return min(MAX_RESULTS, max(self.fusion.depth, 2 * (self.offset + self.size)))


@dataclass(frozen=True, slots=True)
class Plan:
    """Clauses per leg, and why a leg is missing.

    Attributes:
        clauses: Query clause of each leg, filters included.
        left_out: Reason for each leg that was asked for but cannot serve this query.
        query_tokens: Token weights of the query.
        fusion: The request's, with the bounds of this query.
    """

    clauses: Mapping[Leg, Clause]
    left_out: Mapping[Leg, str]
    query_tokens: Mapping[str, float]
    fusion: Fusion


@dataclass(frozen=True, slots=True)
class QueryEncoders:
    """The encoders of the query side; an absent one leaves its leg out.

    Attributes:
        dense: Encodes for the dense leg.
        sparse: Encodes for the sparse leg.
        words: Word statistics of the corpus, for the bounds of the word-matching legs.
        models: Models in the cluster that encode instead.
    """

    dense: DenseEncoder | None = None
    sparse: SparseEncoder | None = None
    words: WordStatistics | None = None
    models: QueryModels = field(default_factory=QueryModels)


@dataclass(frozen=True, slots=True)
class _LeftOut:
    reason: str


def plan_search(request: SearchRequest, info: IndexInfo, encoders: QueryEncoders) -> Plan:
    """Encode the query and build the clause of every leg that can serve it."""
    planner = _Planner(request, info, encoders)
    builders: Mapping[Leg, Callable[[], Clause | _LeftOut]] = {
        "bm25": planner.bm25,
        "dense": planner.dense,
        "sparse": planner.sparse,
    }
    wanted = LEGS if request.mode == "hybrid" else (request.mode,)
    built = {leg: builders[leg]() for leg in wanted}
    return Plan(
        clauses={leg: c for leg, c in built.items() if not isinstance(c, _LeftOut)},
        left_out={leg: c.reason for leg, c in built.items() if isinstance(c, _LeftOut)},
        query_tokens=planner.query_tokens,
        fusion=planner.fusion() if len(wanted) > 1 else request.fusion,
    )


class _Planner:
    def __init__(self, request: SearchRequest, info: IndexInfo, encoders: QueryEncoders) -> None:
        self._request = request
        self._info = info
        self._encoders = encoders
        levels = [{"term": {"level": request.level}}] if info.two_level else []
        self._filters = [*levels, *request.filters]
        self._exact = exact_values(request.text)
        self.query_tokens: Mapping[str, float] = {}

    def fusion(self) -> Fusion:
        """The request's fusion; bounds that it names itself stand."""
        text, encoders = self._request.text, self._encoders
        lexical = encoders.words is not None and self._lexical()
        bounds = match_bounds(text, encoders.words, exact=len(self._exact), lexical=lexical)
        fusion = self._request.fusion
        return replace(fusion, bounds={**bounds, **fusion.bounds})

    def _lexical(self) -> bool:
        """Whether the sparse leg's weights are those of the word statistics."""
        words: object = self._encoders.words
        if not self._encoders.models.encodes_sparse:
            return self._encoders.sparse is words
        sparse = self._info.sparse
        return sparse is not None and sparse.fingerprint == self._info.notes.get("word_statistics")

    def bm25(self) -> Clause:
        text = self._request.text
        fields = self._info.text_fields(main_script(text))
        return filtered(bm25_query(with_parts(text), fields, self._exact), self._filters)

    def dense(self) -> Clause | _LeftOut:
        request = self._request
        if model := self._encoders.models.dense:
            return neural_query(
                request.text, model, request.depth, self._filters, request.ef_search
            )
        encoder = self._encoders.dense
        if encoder is None:
            return self._absent("dense", self._info.dense)
        if obstacle := self._unknown(encoder):
            return obstacle
        (vector,) = encoder.encode_queries([self._request.text])
        return knn_query(vector, self._request.depth, self._filters, self._request.ef_search)

    def sparse(self) -> Clause | _LeftOut:
        if self._encoders.models.encodes_sparse:
            return self._sparse_by_model()
        encoder = self._encoders.sparse
        if encoder is None:
            return self._absent("sparse", self._info.sparse)
        if obstacle := self._unknown(encoder):
            return obstacle
        (vector,) = encoder.encode_queries([self._request.text])
        if not len(vector):
            return _LeftOut("no token of the query carries weight")
        self.query_tokens = named_weights(encoder, vector)
        if self._info.seismic:
            ids = dict(zip(vector.ids.tolist(), vector.weights.tolist(), strict=True))
            clause = seismic_query(ids, self._request.depth, self._filters)
            # Again around it: the one inside fails where no document has the field.
            return filtered(clause, self._filters)
        return filtered(sparse_query(self.query_tokens), self._filters)

    def _sparse_by_model(self) -> Clause:
        text, models = self._request.text, self._encoders.models
        if not self._info.seismic:
            return filtered(neural_sparse_query(text, models), self._filters)
        clause = seismic_model_query(text, models, self._request.depth, self._filters)
        return filtered(clause, self._filters)

    def _absent(self, leg: Leg, identity: EncoderIdentity | None) -> _LeftOut:
        if identity is not None and self._encoders.models != QueryModels():
            return _LeftOut("no model of the cluster was named for it")
        return _LeftOut(f"the index has no {leg} field")

    def _unknown(self, encoder: Encoder) -> _LeftOut | None:
        if encoder.knows([self._request.text])[0]:
            return None
        return _LeftOut(f"{encoder.identity.model} does not know the language of this query")
