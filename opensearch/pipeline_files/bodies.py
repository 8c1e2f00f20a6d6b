"""Pipelines of a file as OpenSearch wants them: pure functions."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from opensearch.fusion import Bounds, Fusion, Leg
from opensearch.pipeline_files.passage_script import passage_processor
from opensearch.pipeline_files.schema import (
    ChunkingStep,
    DenseStep,
    FusionPart,
    IngestPipeline,
    PassageStep,
    SearchPipeline,
    SparseStep,
    Step,
    TwoPhasePart,
)
from opensearch.pipelines import fusion_pipeline

# OpenSearch keeps no other place for it: pipelines have no `_meta`.
MARK = "(managed by Tandem)"
Role = Literal["documents", "queries", "pairs"]
# Name of a model and what it is wanted for, to its id.
Resolver = Callable[[str, Role], str]


def ingest_body(pipeline: IngestPipeline, resolve: Resolver) -> dict[str, Any]:
    """An ingest pipeline; temporary fields are removed at its end."""
    processors = [_processor(step, resolve) for step in pipeline.steps]
    temporary = [step.to for step in pipeline.steps if isinstance(step, PassageStep)]
    if temporary:
        processors.append({"remove": {"field": temporary, "ignore_missing": True}})
    return {"description": marked(pipeline.description), "processors": processors}


def search_body(pipeline: SearchPipeline, resolve: Resolver) -> dict[str, Any]:
    """A search pipeline."""
    body: dict[str, Any] = {"description": marked(pipeline.description)}
    requests = [*_enricher(pipeline, resolve), *_two_phase(pipeline.two_phase)]
    responses = [*_explanation(pipeline.fusion), *_rerank(pipeline, resolve)]
    if requests:
        body["request_processors"] = requests
    if pipeline.fusion is not None:
        body |= fusion_pipeline(_fusion(pipeline.fusion), pipeline.fusion.legs)
    if responses:
        body["response_processors"] = responses
    return body


def marked(description: str) -> str:
    """A description that says who keeps the pipeline."""
    return f"{description} {MARK}".strip()


def is_managed(body: Mapping[str, Any]) -> bool:
    """Whether a pipeline in the cluster was written from a file."""
    return str(body.get("description", "")).endswith(MARK)


def _processor(step: Step, resolve: Resolver) -> dict[str, Any]:
    if isinstance(step, PassageStep):
        return passage_processor(step)
    if isinstance(step, ChunkingStep):
        algorithm = {step.algorithm: step.parameters()}
        return {"text_chunking": {"field_map": dict(step.fields), "algorithm": algorithm}}
    return _encoding(step, resolve)


def _encoding(step: DenseStep | SparseStep, resolve: Resolver) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model_id": resolve(step.model, "documents"),
        "field_map": dict(step.fields),
        "batch_size": step.batch_size,
    }
    if step.skip_existing:
        body["skip_existing"] = True
    if isinstance(step, SparseStep) and step.prune_ratio is not None:
        body |= {"prune_type": step.prune_type, "prune_ratio": step.prune_ratio}
    return {step.step: body}


def _enricher(pipeline: SearchPipeline, resolve: Resolver) -> list[dict[str, Any]]:
    models = pipeline.query_models
    if models is None:
        return []
    body: dict[str, Any] = {}
    if models.default is not None:
        body["default_model_id"] = resolve(models.default, "queries")
    if models.fields:
        body["neural_field_default_id"] = {
            field: resolve(model, "queries") for field, model in models.fields.items()
        }
    return [{"neural_query_enricher": body}]


def _two_phase(part: TwoPhasePart | None) -> list[dict[str, Any]]:
    if part is None:
        return []
    parameters = part.model_dump(exclude_none=True)
    return [
        {
            "neural_sparse_two_phase_processor": {
                "enabled": True,
                "two_phase_parameter": parameters,
            }
        }
    ]


def _fusion(part: FusionPart) -> Fusion:
    bounds: dict[Leg, Bounds] = {leg: Bounds(b.low, b.high) for leg, b in part.bounds.items()}
    return Fusion(
        method=part.method,
        weights=part.weights or dict.fromkeys(part.legs, 1.0),
        bounds=bounds,
        rank_constant=part.rank_constant,
        combination=part.combination,
    )


def _explanation(part: FusionPart | None) -> list[dict[str, Any]]:
    return [{"hybrid_score_explanation": {}}] if part is not None and part.explain else []


def _rerank(pipeline: SearchPipeline, resolve: Resolver) -> list[dict[str, Any]]:
    part = pipeline.rerank
    if part is None:
        return []
    body: dict[str, Any] = {
        "ml_opensearch": {"model_id": resolve(part.model, "pairs")},
        "context": {"document_fields": list(part.fields)},
    }
    return [{"rerank": {**body, "ignore_failure": True} if part.ignore_failure else body}]
