"""Queries to paste into Dev Tools: every mode an index can serve, with the cluster's model ids."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opensearch.capabilities import Capabilities
from opensearch.fusion import Bounds, Fusion, Leg
from opensearch.index_info import IndexInfo
from opensearch.languages import main_script, with_parts
from opensearch.model_queries import (
    QueryModels,
    hybrid_model_query,
    neural_query,
    neural_sparse_query,
    seismic_model_query,
)
from opensearch.pipeline_files.served_fusion import served_fusion
from opensearch.pipelines import fusion_pipeline
from opensearch.queries import bm25_query

UNKNOWN = Capabilities()
_SIZE = 10
_DEPTH = 100
_SHOWN = ["doc_id", "title", "text"]
_EXPLAINED: dict[str, Any] = {"response_processors": [{"hybrid_score_explanation": {}}]}


@dataclass(frozen=True, slots=True)
class DevToolsQuery:
    """One request, as it stands in the console.

    Attributes:
        title: What it shows.
        method: HTTP method.
        path: Path and parameters.
        body: The request.
    """

    title: str
    method: str
    path: str
    body: dict[str, Any] | None = None

    def text(self) -> str:
        """The request as Dev Tools reads it."""
        lines = [f"# {self.title}", f"{self.method} {self.path}"]
        if self.body is not None:
            lines.append(json.dumps(self.body, ensure_ascii=False, indent=2))
        return "\n".join(lines)


def devtools_file(queries: Iterable[DevToolsQuery]) -> str:
    """The whole file."""
    return "\n\n".join(query.text() for query in queries) + "\n"


def devtools_queries(
    info: IndexInfo,
    models: QueryModels,
    fusion: Fusion,
    text: str,
    capabilities: Capabilities = UNKNOWN,
) -> list[DevToolsQuery]:
    """Queries in every mode that needs no encoder outside the cluster.

    Args:
        info: The index.
        models: Ids of the models that encode queries; a leg without one is left out.
        fusion: Weights and bounds of hybrid queries; bounds of single queries are not used.
        text: The example query.
        capabilities: What the cluster has: an older one gets the nearest fusion it knows.
    """
    builder = _Builder(info, models, fusion, text, capabilities)
    return [
        DevToolsQuery("The index: fields, encoders", "GET", f"/{info.name}/_mapping"),
        *builder.single_legs(),
        *builder.hybrids(),
    ]


@dataclass(frozen=True, slots=True)
class _Builder:
    info: IndexInfo
    models: QueryModels
    fusion: Fusion
    text: str
    capabilities: Capabilities

    def single_legs(self) -> list[DevToolsQuery]:
        words = self._search("BM25", {"query": bm25_query(with_parts(self.text), self._fields())})
        found = [words]
        if self.models.dense is not None:
            clause = neural_query(self.text, self.models.dense, _DEPTH)
            found.append(self._search("Dense: neural, by model id", {"query": clause}))
        if self.models.encodes_sparse:
            found.append(self._sparse())
        return found

    def hybrids(self) -> list[DevToolsQuery]:
        legs = self._legs()
        if len(legs) < 2:
            return []
        query = {"query": self._hybrid()}
        weighted = fusion_pipeline(self._static(), legs)
        by_rank = replace(self.fusion, method="rrf", combination="arithmetic")
        ranks = fusion_pipeline(served_fusion(by_rank, self.capabilities), legs)
        named = " + ".join(legs)
        return [
            self._search(
                f"Hybrid: {named}, min-max with weights", {**query, "search_pipeline": weighted}
            ),
            self._search(f"Hybrid: {named}, rank fusion", {**query, "search_pipeline": ranks}),
            self._search(
                "Hybrid with a filter, which every leg applies",
                {
                    "query": self._hybrid([{"exists": {"field": "doc_id"}}]),
                    "search_pipeline": weighted,
                },
            ),
            self._search(
                "Hybrid, explained: the score of each leg before and after normalisation",
                {**query, "search_pipeline": {**weighted, **_EXPLAINED}, "explain": True},
            ),
        ]

    def _sparse(self) -> DevToolsQuery:
        if self.info.seismic:
            clause = seismic_model_query(self.text, self.models, _DEPTH)
            title = "Sparse: neural_sparse over SEISMIC, by model id"
            body = {"query": clause, "size": _SIZE, "_source": ["doc_id"]}
            return DevToolsQuery(title, "POST", f"/{self.info.seismic}/_search", body)
        clause = neural_sparse_query(self.text, self.models)
        return self._search("Sparse: neural_sparse, by model id", {"query": clause})

    def _legs(self) -> list[Leg]:
        sparse = self.models.encodes_sparse and not self.info.seismic
        present: Sequence[tuple[Leg, bool]] = (
            ("bm25", True),
            ("dense", self.models.dense is not None),
            ("sparse", sparse),
        )
        return [leg for leg, there in present if there]

    def _hybrid(self, filters: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        models = self.models
        if self.info.seismic:  # lives in an index of its own, which no hybrid query can reach
            models = QueryModels(dense=models.dense)
        return hybrid_model_query(self.text, models, self._fields(), _DEPTH, filters)

    def _static(self) -> Fusion:
        """The fusion without what depends on a single query."""
        dense = self.fusion.bounds_of("dense")
        bounds: dict[Leg, Bounds] = {"dense": dense} if "dense" in self.fusion.bounds else {}
        static = replace(self.fusion, method="minmax", combination="arithmetic", bounds=bounds)
        return served_fusion(static, self.capabilities)

    def _fields(self) -> list[str]:
        return self.info.text_fields(main_script(self.text))

    def _search(self, title: str, body: dict[str, Any]) -> DevToolsQuery:
        shown = {"size": _SIZE, "_source": _SHOWN, "collapse": {"field": "doc_id"}}
        return DevToolsQuery(title, "POST", f"/{self.info.name}/_search", {**body, **shown})
