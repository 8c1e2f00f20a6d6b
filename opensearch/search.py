"""Run a search: plan it, send it, read the answer."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from encoders.base import SparseEncoder
from opensearch.errors import SearchBackendError
from opensearch.fusion import Leg, fuse
from opensearch.hits import Candidates, Hit, SearchResult
from opensearch.index_info import IndexInfo, check_encoder
from opensearch.mappings import SPARSE_FIELD, TOKENS_FIELD
from opensearch.plan import Plan, QueryEncoders, SearchRequest, plan_search
from opensearch.requests import (
    Body,
    candidates_body,
    documents_body,
    hybrid_body,
    leg_scores_body,
    single_leg_body,
)
from opensearch.translation import refuse_errors, translated

logger = logging.getLogger(__name__)

SHOWN_TOKENS = 12
NO_PIPELINE = "_none"
# What a hybrid query without a normalisation pipeline answers instead of an error.
_SENTINEL = -1e9
# How a shard fails whose node goes away, and the pauses before the same search is sent again.
_LOST = frozenset(
    {
        "node_disconnected_exception",
        "node_not_connected_exception",
        "node_closed_exception",
        "connect_transport_exception",
        "no_shard_available_action_exception",
    }
)
_PAUSES_S = (0.1, 0.5, 2.0, 4.0)
# What it answers, as an error, for a page behind the last one.
_PAST_THE_END = "Reached end of search result"


class Searcher:
    """Searches one index with the encoders that built it."""

    def __init__(self, client: Any, info: IndexInfo, encoders: QueryEncoders) -> None:
        """Check that the encoders belong to the index.

        Raises:
            EncoderMismatchError: An encoder's fingerprint is not the index's.
        """
        for leg in ("dense", "sparse"):
            encoder = getattr(encoders, leg)
            check_encoder(getattr(info, leg), encoder and encoder.identity, info.name)
        self._client = client
        self._info = info
        self._encoders = encoders

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query.

        Raises:
            SearchBackendError: OpenSearch failed, or answered only a part of its shards.
        """
        started = time.perf_counter()
        plan = plan_search(request, self._info, self._encoders)
        encoded = time.perf_counter()
        hits = self._run(request, plan) if plan.clauses else []
        searched = time.perf_counter()
        if request.leg_scores and hits:
            hits = self._with_leg_scores(plan, hits)
        if request.tokens and hits and self._info.seismic:
            hits = self._with_seismic_tokens(hits)
        return SearchResult(
            hits=tuple(hits),
            legs=tuple(plan.clauses),
            left_out=plan.left_out,
            query_tokens=plan.query_tokens,
            encode_ms=(encoded - started) * 1000,
            search_ms=(searched - encoded) * 1000,
        )

    def candidates(self, request: SearchRequest) -> Candidates:
        """The candidates of each leg, unfused: what a tuner fuses again and again.

        Raises:
            SearchBackendError: OpenSearch failed, or answered only a part of its shards.
        """
        plan = plan_search(request, self._info, self._encoders)
        return self._candidates(request, plan)

    def _candidates(self, request: SearchRequest, plan: Plan) -> Candidates:
        found = {
            leg: _matching(self._send(self._index_of(leg), candidates_body(request, clause)))
            for leg, clause in plan.clauses.items()
        }
        return Candidates(
            rankings={leg: [(h["_id"], h["_score"]) for h in hits] for leg, hits in found.items()},
            documents={h["_id"]: _doc_id(h) for hits in found.values() for h in hits},
            fusion=replace(plan.fusion, depth=request.depth),
        )

    def _run(self, request: SearchRequest, plan: Plan) -> list[Hit]:
        if self._must_fuse(plan):
            return self._fused_here(request, plan)
        if len(plan.clauses) == 1:
            (clause,) = plan.clauses.values()
            answer = self._send(self._info.physical, single_leg_body(request, clause))
        else:
            answer = self._send_hybrid(hybrid_body(request, plan))
        return [_hit(h, rank) for rank, h in enumerate(answer, start=request.offset + 1)]

    def _must_fuse(self, plan: Plan) -> bool:
        """Whether the server cannot: the legs lie apart, or it may be older than 3.2.

        Older servers take the bounds and the collapsing of a hybrid query, and ignore them.
        """
        if self._info.seismic and "sparse" in plan.clauses:
            return True
        return self._info.portable and len(plan.clauses) > 1

    def _send_hybrid(self, body: Body) -> list[dict[str, Any]]:
        try:
            return self._send(self._info.physical, body)
        except SearchBackendError as error:
            if _PAST_THE_END not in str(error):
                raise
            return []

    def _fused_here(self, request: SearchRequest, plan: Plan) -> list[Hit]:
        """Each leg by itself, fused by the client, the page then looked up."""
        found = self._candidates(request, plan)
        if len(found.rankings) == 1:
            (fused,) = found.rankings.values()
        else:
            fused = fuse(found.rankings, found.fusion)
        collapsed = best_chunks(fused, found.documents)
        return self._documents(
            request, plan, collapsed[request.offset : request.offset + request.size]
        )

    def _documents(
        self, request: SearchRequest, plan: Plan, page: Sequence[tuple[str, float]]
    ) -> list[Hit]:
        ids = [chunk_id for chunk_id, _ in page]
        if not ids:
            return []
        body = documents_body(request, ids, plan.clauses.get("bm25"))
        by_id = {h["_id"]: h for h in self._send(self._info.physical, body)}
        return [
            _hit({**by_id[chunk_id], "_score": score}, rank)
            for rank, (chunk_id, score) in enumerate(page, start=request.offset + 1)
            if chunk_id in by_id
        ]

    def _with_leg_scores(self, plan: Plan, hits: Sequence[Hit]) -> list[Hit]:
        ids = [hit.chunk_id for hit in hits]
        scores = {
            leg: {
                h["_id"]: h["_score"]
                for h in _matching(
                    self._send(self._index_of(leg), leg_scores_body(leg, clause, ids))
                )
            }
            for leg, clause in plan.clauses.items()
        }
        return [
            replace(
                hit, legs={leg: s[hit.chunk_id] for leg, s in scores.items() if hit.chunk_id in s}
            )
            for hit in hits
        ]

    def _with_seismic_tokens(self, hits: Sequence[Hit]) -> list[Hit]:
        """Token weights that live in the companion index, by vocabulary id, under their names."""
        encoder = self._encoders.sparse
        if encoder is None:
            return list(hits)
        with translated(f"reading token weights of {self._info.name}"):
            answer = self._client.mget(
                index=self._info.seismic,
                body={"ids": [hit.chunk_id for hit in hits]},
                params={"_source": TOKENS_FIELD},
            )
        refuse_errors(answer["docs"], f"reading token weights of {self._info.name}")
        stored = {d["_id"]: d["_source"][TOKENS_FIELD] for d in answer["docs"] if d.get("found")}
        return [replace(h, tokens=_named(encoder, stored.get(h.chunk_id, {}))) for h in hits]

    def _index_of(self, leg: Leg) -> str:
        companion = self._info.seismic
        return companion if leg == "sparse" and companion else self._info.physical

    def _send(self, index: str, body: Body) -> list[dict[str, Any]]:
        answer = self._ask(index, body)
        for pause in _PAUSES_S:
            if not _lost_a_node(answer):
                break
            logger.debug("a node was lost while it answered; asking again in %.1f s", pause)
            time.sleep(pause)
            answer = self._ask(index, body)
        return read_hits(answer)

    def _ask(self, index: str, body: Body) -> Any:
        # Around the index's own pipeline: a two-phase one, for instance, forbids collapsing.
        body = {"search_pipeline": NO_PIPELINE, **body}
        with translated(f"searching {self._info.name}"):
            return self._client.search(index=index, body=body)


def _lost_a_node(answer: Mapping[str, Any]) -> bool:
    """Whether every failed shard failed with its node: another copy answers the next request.

    OpenSearch itself turns to the other copy only until it knows the hits, not to fetch them.
    """
    failures = answer.get("_shards", {}).get("failures") or []
    kinds = {failure.get("reason", {}).get("type") for failure in failures}
    return bool(kinds) and kinds <= _LOST


def read_hits(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hits of an answer, or a refusal to show a wrong one.

    Raises:
        SearchBackendError: Some shards failed, the scores were never normalised, or it holds no
            hits at all.
    """
    if "hits" not in answer:
        msg = f"OpenSearch answered a search without hits: {str(dict(answer))[:300]}"
        raise SearchBackendError(msg)
    shards = answer.get("_shards", {})
    if shards.get("failed"):
        first = (
            (shards.get("failures") or [{}])[0].get("reason", {}).get("reason", "no reason given")
        )
        msg = f"{shards['failed']} of {shards['total']} shards failed: {first}"
        raise SearchBackendError(msg)
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    if any(h.get("_score") is not None and h["_score"] <= _SENTINEL for h in hits):
        msg = "OpenSearch answered scores that no search pipeline normalised; is it disabled?"
        raise SearchBackendError(msg)
    return hits


def _matching(hits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hits that match: a filtered SEISMIC search fills its answer up with scores of 0."""
    return [h for h in hits if h["_score"] > 0]


def best_chunks(
    ranking: Sequence[tuple[str, float]], documents: Mapping[str, str]
) -> list[tuple[str, float]]:
    """The best chunk of each document, in order."""
    best: dict[str, tuple[str, float]] = {}
    for chunk_id, score in ranking:
        best.setdefault(documents[chunk_id], (chunk_id, score))
    return list(best.values())


def _doc_id(raw: Mapping[str, Any]) -> str:
    """The document of a hit: collapsing and doc values put it beside the source."""
    return str(raw["fields"]["doc_id"][0])


def _hit(raw: Mapping[str, Any], rank: int) -> Hit:
    source = raw.get("_source", {})
    fragments = raw.get("highlight", {})
    return Hit(
        id=_doc_id(raw),
        chunk_id=raw["_id"],
        score=raw["_score"],
        rank=rank,
        title=source.get("title", ""),
        text=source.get("text", ""),
        metadata=source.get("metadata", {}),
        highlights=tuple(fragments.get("text", ()) or fragments.get("title", ())),
        tokens=_heaviest(source.get(SPARSE_FIELD, {})),
    )


def _heaviest(weights: Mapping[str, float]) -> dict[str, float]:
    ordered = sorted(weights.items(), key=lambda item: -item[1])
    return dict(ordered[:SHOWN_TOKENS])


def _named(encoder: SparseEncoder, weights: Mapping[str, float]) -> dict[str, float]:
    heaviest = _heaviest(weights)
    names = encoder.tokens([int(token) for token in heaviest])
    return dict(zip(names, heaviest.values(), strict=True))
