"""Pipeline files: what they may say, what becomes of it, what older clusters lack."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearch_samples import RecordingClient, index_info
from opensearchpy.exceptions import AuthorizationException

from opensearch.capabilities import Capabilities
from opensearch.errors import CapabilityError, SearchBackendError, SettingsError
from opensearch.fusion import Fusion, dense_bounds
from opensearch.ml.catalogue import ModelInfo
from opensearch.ml.errors import ModelError
from opensearch.pipeline_files.bodies import ingest_body, is_managed, search_body
from opensearch.pipeline_files.changes import (
    PipelineChange,
    PipelineInUseError,
    find_removal,
    list_pipelines,
    model_ids,
    remove_pipelines,
    wanted_pipelines,
)
from opensearch.pipeline_files.cluster import all_default_pipelines, check_name, users_of
from opensearch.pipeline_files.features import check_features
from opensearch.pipeline_files.loading import PipelineFileError, load_pipeline_file
from opensearch.pipeline_files.models import ModelNames, unresolved
from opensearch.pipeline_files.schema import DenseStep, PipelineFile
from opensearch.pipeline_files.starting_file import StartingModels, starting_file

FULL = """
[ingest.docs-in]
index = "docs"
[[ingest.docs-in.steps]]
step = "passage"
[[ingest.docs-in.steps]]
step = "text_embedding"
model = "minilm"
[[ingest.docs-in.steps]]
step = "sparse_encoding"
model = "splade"
batch_size = 4
prune_type = "max_ratio"
prune_ratio = 0.1

[search.docs-out]
index = "docs"
[search.docs-out.query_models.fields]
dense = "minilm"
sparse = "splade"
[search.docs-out.fusion]
weights = { bm25 = 0.45, dense = 0.45, sparse = 0.1 }
explain = true
[search.docs-out.fusion.bounds]
dense = { low = 1.2, high = 2.0 }
[search.docs-out.two_phase]
[search.docs-out.rerank]
model = "cross"
ignore_failure = true
"""


def load(tmp_path: Path, text: str, name: str = "pipelines.toml") -> PipelineFile:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_pipeline_file(path)


def test_an_ingest_pipeline_encodes_the_passage_and_cleans_up(tmp_path: Path) -> None:
    body = ingest_body(load(tmp_path, FULL).ingest["docs-in"], unresolved)
    script, dense, sparse, removal = body["processors"]
    assert script["script"]["params"]["to"] == "tandem_passage"
    assert dense["text_embedding"] == {
        "model_id": "<id of minilm>",
        "field_map": {"tandem_passage": "dense"},
        "batch_size": 16,
    }
    assert sparse["sparse_encoding"]["field_map"] == {"tandem_passage": "sparse"}
    assert sparse["sparse_encoding"]["prune_ratio"] == 0.1
    assert removal["remove"]["field"] == ["tandem_passage"]
    assert is_managed(body)
    assert not is_managed({"description": "mine"})


def test_a_search_pipeline_has_its_processors_in_order(tmp_path: Path) -> None:
    body = search_body(load(tmp_path, FULL).search["docs-out"], unresolved)
    assert [next(iter(p)) for p in body["request_processors"]] == [
        "neural_query_enricher",
        "neural_sparse_two_phase_processor",
    ]
    enricher = body["request_processors"][0]["neural_query_enricher"]
    assert enricher["neural_field_default_id"]["sparse"] == "<id of splade>"
    normalization = body["phase_results_processors"][0]["normalization-processor"]
    assert normalization["combination"]["parameters"]["weights"] == [0.45, 0.45, 0.1]
    low = {"mode": "clip", "min_score": 1.2}
    assert normalization["normalization"]["parameters"]["lower_bounds"][1] == low
    assert [next(iter(p)) for p in body["response_processors"]] == [
        "hybrid_score_explanation",
        "rerank",
    ]
    assert body["response_processors"][1]["rerank"]["ignore_failure"] is True


def test_yaml_says_the_same(tmp_path: Path) -> None:
    text = """
search:
  out: {fusion: {method: rrf, legs: [bm25, dense], weights: {bm25: 1, dense: 3}}}
"""
    found = load(tmp_path, text, "pipelines.yml")
    body = search_body(found.search["out"], unresolved)
    combination = body["phase_results_processors"][0]["score-ranker-processor"]["combination"]
    assert combination["parameters"]["weights"] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[serch.x]\n", r"serch: unknown key; did you mean search\?"),
        ('[ingest.x]\nsteps = [{step = "pasage"}]\n', "ingest.x.steps.0.*pasage"),
        (
            '[ingest.x]\nsteps = [{step = "passage", titel = "t"}]\n',
            r"steps\.0\.titel: unknown key; did you mean title\?",
        ),
        ("[search.x.fusion]\nmethd = 'rrf'\n", r"fusion\.methd: .*did you mean method\?"),
        ("[search.x.fusion]\nmethod = 'rff'\n", r"fusion\.method: .*'rrf'"),
        ("[search.x.fusion.bounds]\ndense = {lo = 1}\n", "did you mean low"),
        ("[search.x.fusion]\nlegs = ['bm25']\n", "two or three"),
        ("[search.x.fusion]\nlegs = ['bm25', 'dense']\nweights = {sparse = 1}\n", "for the legs"),
        ("[search.x.fusion]\nmethod='rrf'\nbounds = {dense = {low = 1}}\n", "belong to minmax"),
        ("[search.x]\n", "does nothing"),
        ("[search.x.query_models]\n", "default model"),
        ("[search.x]\nindex='i'\n[search.x.rerank]\nmodel='m'\n", "ignore_failure"),
        ("[search.x.two_phase]\nprune_ratio = 2\n", "between 0 and 1"),
        (
            '[ingest.x]\nsteps = [{step="sparse_encoding", model="m", prune_ratio = 0.1}]\n',
            "go together",
        ),
        (
            '[ingest.x]\nsteps = [{step="text_chunking", fields={a="b"}, char_limit=3}]\n',
            "fixed_token_length takes",
        ),
        (
            '[ingest.x]\nsteps = [{step="passage"}, {step="text_embedding", model="m", '
            "skip_existing=true}]\n",
            "not stored",
        ),
        ("[ingest.x]\nsteps = []\n", "at least 1"),
        ("", "declares no pipeline"),
        ("[", "not valid TOML"),
        ("[search.a]\nindex='i'\n[search.a.two_phase]\n[search.b]\nindex='i'\n[search.b.two_phase]\n",
         "default of i"),
    ],
)  # fmt: skip
def test_faults_are_named_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PipelineFileError, match=message):
        load(tmp_path, text)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = "[search.x.fusion]\nmethd = 1\n[search.x.rerank]\n[ingest.y]\n"
    with pytest.raises(PipelineFileError) as caught:
        load(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("text", ["a: [", "\udcff"])
def test_unreadable_yaml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PipelineFileError, match=r"x\.yaml"):
        load_pipeline_file(path)


@pytest.mark.parametrize(
    ("text", "version", "message"),
    [
        ("[search.x.fusion]\nmethod='zscore'\n", (2, 19, 1), "z_score.*3.0"),
        ("[search.x.fusion]\nmethod='rrf'\nweights={bm25=1,dense=2}\n", (2, 19, 1), "weights.*3.1"),
        ("[search.x.fusion.bounds]\ndense={low=1.0}\n", (2, 19, 1), "lower bound.*3.0"),
        ("[search.x.fusion.bounds]\ndense={high=2.0}\n", (3, 1, 0), "upper bound.*3.2"),
        ("[search.x.fusion]\nmethod='rrf'\n", (2, 18, 0), "rrf.*2.19"),
        ("[search.x.two_phase]\n", (2, 14, 0), "two_phase.*2.15"),
        (
            '[ingest.x]\nsteps=[{step="text_embedding", model="m", fields={text="dense"}, '
            "skip_existing=true}]\n",
            (2, 19, 1),
            "skip_existing needs OpenSearch 3.0",
        ),
        (
            '[ingest.x]\nsteps=[{step="text_chunking", fields={a="b"}, '
            'algorithm="fixed_char_length"}]\n',
            (3, 0, 0),
            "fixed_char_length.*3.1",
        ),
        (FULL, (2, 18, 0), "Pruning.*2.19"),
    ],
)
def test_what_a_version_lacks_is_refused_with_the_one_that_has_it(
    tmp_path: Path, text: str, version: tuple[int, ...], message: str
) -> None:
    file = load(tmp_path, text)
    with pytest.raises(CapabilityError, match=message):
        check_features(file, Capabilities(version=version))
    check_features(file, Capabilities(version=(3, 6, 0)))
    check_features(file, Capabilities())  # nobody knows: the cluster will say


def test_a_cluster_without_the_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="opensearch-neural-search"):
        check_features(load(tmp_path, FULL), Capabilities(plugins=frozenset({"opensearch-knn"})))


def model(name: str, **changes: Any) -> ModelInfo:
    info = ModelInfo(f"id-{name}", name, "1", "g", name, "DEPLOYED", "REMOTE", None)
    return replace(info, **changes)


def test_models_are_found_by_name_for_what_they_are() -> None:
    names = ModelNames(
        [
            model("minilm"),
            model("asked", notes={"side": "query", "kind": "dense"}),
            model("cross", notes={"kind": "rerank"}),
            model("table", function="SPARSE_TOKENIZE"),
        ]
    )
    assert names("minilm", "documents") == "id-minilm"
    assert names("asked", "queries") == "id-asked"
    assert names("table", "queries") == "id-table"
    assert names("cross", "pairs") == "id-cross"
    assert names.resolved["id-minilm"] == "minilm@1"
    wrong: Mapping[tuple[str, Any], str] = {
        ("asked", "documents"): "query texts only",
        ("cross", "documents"): "rerank",
        ("asked", "pairs"): "no model for pairs",
        ("table", "documents"): "query tokens",
        ("nobody", "documents"): "no model 'nobody'",
    }
    for (name, role), message in wrong.items():
        with pytest.raises(ModelError, match=message):
            names(name, role)


def test_the_starting_file_is_a_pipeline_file(tmp_path: Path) -> None:
    info = index_info()
    fusion = Fusion(bounds={"dense": dense_bounds(0.25)})
    text = starting_file(info, StartingModels("minilm", "splade", "splade-queries", "x"), fusion)
    file = load(tmp_path, text)
    bodies = wanted_pipelines(file, unresolved)
    assert list(bodies) == [("ingest", "docs-documents"), ("search", "docs-hybrid")]
    assert set(model_ids(bodies["ingest", "docs-documents"])) == {
        "<id of minilm>",
        "<id of splade>",
    }
    search = file.search["docs-hybrid"]
    assert search.query_models is not None
    assert search.query_models.fields["sparse"] == "splade-queries"
    assert search.fusion is not None
    assert search.fusion.bounds["dense"].low == 1.25
    assert search.fusion.weights == {"bm25": 0.45, "dense": 0.45, "sparse": 0.1}


def test_each_side_may_have_a_dense_model_of_its_own(tmp_path: Path) -> None:
    models = StartingModels("minilm-document", dense_query="minilm-query")
    file = load(tmp_path, starting_file(index_info(), models, Fusion()))
    encoding = file.ingest["docs-documents"].steps[1]
    assert isinstance(encoding, DenseStep)
    assert encoding.model == "minilm-document"
    found = file.search["docs-hybrid"].query_models
    assert found is not None
    assert found.fields == {"dense": "minilm-query"}


@pytest.mark.parametrize(
    ("version", "bounds"),
    [((2, 19, 1), (None, None)), ((3, 1), (1.25, None)), ((3, 6), (1.25, 2.0)), (None, (1.25, 2))],
)
@pytest.mark.parametrize("method", ["minmax", "rrf", "l2", "zscore"])
def test_the_starting_file_can_be_applied_where_it_was_made(
    tmp_path: Path, version: Any, bounds: Any, method: Any
) -> None:
    capabilities = Capabilities(version, frozenset({"opensearch-neural-search"}))
    fusion = Fusion(method=method, bounds={"dense": dense_bounds(0.25)})
    models = StartingModels("minilm", "splade")
    text = starting_file(index_info(), models, fusion, capabilities)
    file = load(tmp_path, text)
    check_features(file, capabilities)
    found = file.search["docs-hybrid"].fusion
    assert found is not None
    if method == "minmax":
        dense = found.bounds["dense"]
        assert (dense.low, dense.high) == bounds
    kept = version in (None, (3, 6)) or method == "l2" or (method, version) in NOT_OF_2_19
    assert ("Nearest to the index's own fusion" in text) is not kept


NOT_OF_2_19 = (("rrf", (3, 1)), ("zscore", (3, 1)))


@pytest.mark.parametrize("method", ["rrf", "l2", "zscore"])
def test_the_starting_file_takes_any_fusion(tmp_path: Path, method: Any) -> None:
    text = starting_file(index_info(), StartingModels("m"), Fusion(method=method))
    found = load(tmp_path, text).search["docs-hybrid"].fusion
    assert found is not None
    assert (found.method, found.legs) == (method, ("bm25", "dense"))


def test_a_model_of_the_query_side_alone_writes_nothing(tmp_path: Path) -> None:
    models = StartingModels("minilm", sparse_query="words")
    file = load(tmp_path, starting_file(index_info(), models, Fusion()))
    steps = file.ingest["docs-documents"].steps
    assert [step.step for step in steps] == ["passage", "text_embedding"]
    found = file.search["docs-hybrid"].query_models
    assert found is not None
    assert found.fields["sparse"] == "words"
    only = load(tmp_path, starting_file(index_info(), replace(models, dense=None), Fusion()))
    assert not only.ingest


@pytest.mark.parametrize(
    ("info", "models", "message"),
    [
        (index_info(), StartingModels(), "--dense-model"),
        (index_info(), StartingModels(sparse="m", dense_query="q"), "--dense-model"),
        (index_info(), StartingModels(dense_query="q"), "--dense-model"),
        (index_info(dense=None), StartingModels("m"), "no dense field"),
        (index_info(sparse=None), StartingModels(sparse="m"), "no sparse field"),
        (index_info(sparse_field="seismic"), StartingModels(sparse="m"), "SEISMIC"),
    ],
)
def test_a_starting_file_needs_models_and_fields(
    info: Any, models: StartingModels, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        starting_file(info, models, Fusion())


def test_a_diff_shows_what_changes_line_by_line(tmp_path: Path) -> None:
    body = ingest_body(load(tmp_path, FULL).ingest["docs-in"], unresolved)
    new = PipelineChange("ingest", "docs-in", None, body).diff()
    assert new.startswith("--- /dev/null\n+++ ingest pipeline docs-in (file)")
    assert '+        "batch_size": 16,' in new.splitlines()
    assert max(map(len, new.splitlines())) < 200  # scripts stand line by line
    other = {**body, "description": "old"}
    changed = PipelineChange("ingest", "docs-in", other, body).diff().splitlines()
    assert '-  "description": "old",' in changed
    assert '+  "description": "(managed by Tandem)",' in changed


def test_users_of_a_pipeline_are_found() -> None:
    defaults = {
        "a": {"index.default_pipeline": "p"},
        "b": {"index.final_pipeline": "p"},
        "c": {"index.search.default_pipeline": "p"},
    }
    assert [use.index for use in users_of(defaults, "ingest", "p")] == ["a", "b"]
    assert [use.index for use in users_of(defaults, "search", "p")] == ["c"]


def test_who_sees_only_some_indices_is_asked_for_those(tmp_path: Path) -> None:
    settings = {"docs-v0-1": {"settings": {"index.default_pipeline": "docs-in"}}}

    def answer(name: str, /, **values: Any) -> Any:
        if values.get("index") == "_all" or "filter_path" in values.get("params", {}):
            raise AuthorizationException(403, "security_exception", {"error": {"reason": "no"}})
        if name == "indices.get_settings":
            return settings
        known = values.get("path") == "GET" and name == "transport.perform_request"
        return {"docs-in": {}, "docs-out": {}} if known else True

    client = RecordingClient(answer)
    removal = find_removal(client, load(tmp_path, FULL))
    assert [use.index for use in removal.detached] == ["docs-v0-1"]
    assert removal.pipelines == (("ingest", "docs-in"), ("search", "docs-out"))
    with pytest.raises(PipelineInUseError, match=r"docs-v0-1 \(index\.default_pipeline\)"):
        remove_pipelines(client, removal)
    assert [p.indices for p in list_pipelines(client)] == [None] * 4  # unknown, not none


def test_the_state_of_the_cluster_names_indices_whose_settings_are_forbidden() -> None:
    used = {"settings": {"index": {"default_pipeline": "p", "search": {"default_pipeline": "q"}}}}

    def answer(name: str, /, **values: Any) -> Any:
        if name == "indices.get_settings":
            raise AuthorizationException(403, "security_exception", {"error": {"reason": "no"}})
        assert "settings.index.final_pipeline" in values["params"]["filter_path"]
        return {"metadata": {"indices": {"mine": used, "b": {"settings": {"index": {}}}}}}

    assert all_default_pipelines(RecordingClient(answer)) == {
        "mine": {"index.default_pipeline": "p", "index.search.default_pipeline": "q"},
        "b": {},
    }
    assert all_default_pipelines(RecordingClient(_forbid_settings)) == {}


def _forbid_settings(name: str, /, **_: Any) -> Any:
    if name == "indices.get_settings":
        raise AuthorizationException(403, "security_exception", {"error": {"reason": "no"}})
    return {}  # what a filter leaves of a state without such settings


@pytest.mark.parametrize("name", ["", "_none", "a*", "a,b", "a/b", "a b", "a?b"])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(SearchBackendError, match="no name of a pipeline"):
        check_name(name)
