"""What a file needs from the cluster, and since which version clusters have it."""

from collections.abc import Iterator

from opensearch.capabilities import FEATURES, Capabilities, Feature
from opensearch.pipeline_files.schema import (
    ChunkingStep,
    DenseStep,
    FusionPart,
    IngestPipeline,
    PassageStep,
    PipelineFile,
    SearchPipeline,
    SparseStep,
    Step,
)

PLUGIN = "opensearch-neural-search"
_CHUNKING = Feature((2, 13), "The step text_chunking")
_CHARACTERS = Feature((3, 1), "The algorithm fixed_char_length of text_chunking")
_BATCHES = Feature((2, 16), "A batch_size of an encoding step")
_SKIP = Feature((3, 0), "skip_existing")
_PRUNE = Feature((2, 19), "Pruning of token weights")
_ENRICHER = Feature((2, 11), "query_models (neural_query_enricher)")
_TWO_PHASE = Feature((2, 15), "two_phase")
_RERANK = Feature((2, 12), "rerank")
_NORMALIZATION = Feature((2, 10), "fusion (normalization-processor)")
_RRF = Feature((2, 19), "fusion by rrf")
_EXPLAIN = Feature((2, 19), "fusion.explain (hybrid_score_explanation)")


def needed_features(file: PipelineFile) -> Iterator[Feature]:
    """Every feature the pipelines of a file use."""
    for ingest in file.ingest.values():
        yield from _of_ingest(ingest)
    for search in file.search.values():
        yield from _of_search(search)


def check_features(file: PipelineFile, capabilities: Capabilities) -> None:
    """Refuse, before anything is sent, what the cluster lacks.

    Raises:
        CapabilityError: The first such thing, with the version that has it.
    """
    if any(_is_neural(p) for p in file.ingest.values()) or file.search:
        capabilities.require_plugin(PLUGIN, "A pipeline with models or fusion")
    for feature in needed_features(file):
        capabilities.require_version(feature.since, feature.purpose)


def _is_neural(pipeline: IngestPipeline) -> bool:
    return any(not isinstance(step, PassageStep) for step in pipeline.steps)


def _of_ingest(pipeline: IngestPipeline) -> Iterator[Feature]:
    for step in pipeline.steps:
        yield from _of_step(step)


def _of_step(step: Step) -> Iterator[Feature]:
    if isinstance(step, ChunkingStep):
        yield _CHARACTERS if step.algorithm == "fixed_char_length" else _CHUNKING
    if isinstance(step, DenseStep | SparseStep):
        yield _BATCHES
        if step.skip_existing:
            yield _SKIP
    if isinstance(step, SparseStep) and step.prune_ratio is not None:
        yield _PRUNE


def _of_search(pipeline: SearchPipeline) -> Iterator[Feature]:
    if pipeline.query_models is not None:
        yield _ENRICHER
    if pipeline.two_phase is not None:
        yield _TWO_PHASE
        if pipeline.two_phase.prune_type != "max_ratio":
            yield _PRUNE
    if pipeline.rerank is not None:
        yield _RERANK
    if pipeline.fusion is not None:
        yield from _of_fusion(pipeline.fusion)


def _of_fusion(fusion: FusionPart) -> Iterator[Feature]:
    yield _RRF if fusion.method == "rrf" else _NORMALIZATION
    if fusion.method == "zscore":
        yield FEATURES["z_score"]
    if fusion.method == "rrf" and len(set((fusion.weights or {}).values())) > 1:
        yield FEATURES["rrf_weights"]
    if any(bounds.low is not None for bounds in fusion.bounds.values()):
        yield FEATURES["lower_bounds"]
    if any(bounds.high is not None for bounds in fusion.bounds.values()):
        yield FEATURES["upper_bounds"]
    if fusion.explain:
        yield _EXPLAIN
