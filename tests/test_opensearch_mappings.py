"""Index bodies: what is created, field by field."""

from datetime import UTC, datetime

import pytest
from opensearch_samples import DENSE, SPARSE

from encoders.base import EncoderIdentity
from opensearch.errors import SettingsError
from opensearch.index_info import info_from_meta
from opensearch.index_spec import IndexSpec, check_index_name, seismic_name
from opensearch.mappings import DEFAULT_PIPELINE, index_body, index_meta, seismic_body

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_dense_field_names_its_engine_and_space() -> None:
    spec = IndexSpec("docs", dense=DENSE, m=24, ef_construction=200)
    assert index_body(spec)["mappings"]["properties"]["dense"] == {
        "type": "knn_vector",
        "dimension": 8,
        "space_type": "innerproduct",
        "method": {
            "name": "hnsw",
            "engine": "lucene",
            "parameters": {"m": 24, "ef_construction": 200},
        },
    }


def test_compressed_vectors_are_asked_for_and_remembered() -> None:
    spec = IndexSpec("docs", dense=DENSE, compression="4x")
    assert index_body(spec)["mappings"]["properties"]["dense"]["compression_level"] == "4x"
    assert index_meta(spec)["compression"] == "4x"
    assert "compression" not in index_meta(IndexSpec("docs", dense=DENSE))


def test_compression_is_lucenes() -> None:
    with pytest.raises(SettingsError, match="--dense-engine lucene"):
        IndexSpec("docs", dense=DENSE, dense_engine="faiss", compression="4x")


@pytest.mark.parametrize("engine", ["lucene", "faiss"])
def test_the_engine_is_the_one_that_was_asked_for(engine: str) -> None:
    spec = IndexSpec("docs", dense=DENSE, dense_engine=engine)
    field = index_body(spec)["mappings"]["properties"]["dense"]
    assert field["method"]["engine"] == engine


@pytest.mark.parametrize(
    ("dense", "sparse", "sparse_field", "fields", "knn"),
    [
        pytest.param(None, None, "rank_features", set(), False, id="words only"),
        pytest.param(DENSE, None, "rank_features", {"dense"}, True, id="dense"),
        pytest.param(None, SPARSE, "rank_features", {"sparse"}, False, id="sparse"),
        pytest.param(DENSE, SPARSE, "rank_features", {"dense", "sparse"}, True, id="both"),
        pytest.param(DENSE, SPARSE, "seismic", {"dense"}, True, id="seismic lives elsewhere"),
    ],
)
def test_only_the_legs_that_exist_have_fields(dense, sparse, sparse_field, fields, knn) -> None:
    body = index_body(IndexSpec("docs", dense=dense, sparse=sparse, sparse_field=sparse_field))
    assert {"dense", "sparse"} & set(body["mappings"]["properties"]) == fields
    assert ("index.knn" in body["settings"]) is knn


def test_settings_carry_shards_and_the_pipeline_that_guards_hybrid_queries() -> None:
    body = index_body(IndexSpec("docs", shards=3, replicas=2))
    assert body["settings"] == {
        "number_of_shards": 3,
        "number_of_replicas": 2,
        "index.search.default_pipeline": DEFAULT_PIPELINE,
        "index.mapping.ignore_malformed": True,
    }


def test_main_index_never_mixes_hnsw_and_seismic() -> None:
    spec = IndexSpec("docs", dense=DENSE, sparse=SPARSE, sparse_field="seismic")
    main, companion = index_body(spec), seismic_body(spec)
    assert "index.sparse" not in main["settings"]
    assert "index.knn" not in companion["settings"]
    assert companion["settings"]["index.sparse"] is True
    assert companion["mappings"]["properties"]["tokens"]["type"] == "sparse_vector"


@pytest.mark.parametrize(
    ("heaviest", "ceiling"),
    [pytest.param(0.4, 1.0, id="never below one"), pytest.param(7.5, 7.5, id="as heavy as seen")],
)
def test_seismic_ceiling_reaches_the_heaviest_weight(heaviest: float, ceiling: float) -> None:
    spec = IndexSpec("docs", sparse=SPARSE, sparse_field="seismic", max_sparse_weight=heaviest)
    field = seismic_body(spec)["mappings"]["properties"]["tokens"]
    assert field["method"] == {
        "name": "seismic",
        "parameters": {
            "quantization_ceiling_ingest": ceiling,
            "quantization_ceiling_search": 64.0,
        },
    }


@pytest.mark.parametrize(
    ("analyzers", "field"),
    [
        pytest.param({"latin": "english"}, {"type": "text", "analyzer": "english"}, id="one"),
        pytest.param(
            {"hangul": "nori", "latin": "english", "han": "cjk"},
            {
                "type": "text",
                "analyzer": "nori",
                "fields": {
                    "latin": {"type": "text", "analyzer": "english"},
                    "han": {"type": "text", "analyzer": "cjk"},
                },
            },
            id="main script first, the others as sub-fields",
        ),
    ],
)
def test_text_fields_follow_the_scripts(analyzers, field) -> None:
    properties = index_body(IndexSpec("docs", analyzers))["mappings"]["properties"]
    assert properties["text"] == properties["title"] == field


def test_unknown_fields_are_refused_but_metadata_is_open() -> None:
    mappings = index_body(IndexSpec("docs"))["mappings"]
    assert mappings["dynamic"] == "strict"
    assert mappings["properties"]["metadata"] == {"type": "object", "dynamic": True}
    (template,) = mappings["dynamic_templates"]
    assert template["metadata_strings"]["mapping"] == {"type": "keyword", "ignore_above": 8191}


def test_meta_says_who_made_the_vectors() -> None:
    spec = IndexSpec(
        "docs",
        {"hangul": "nori", "latin": "english"},
        dense=DENSE,
        sparse=SPARSE,
        notes={"levels": ["fine"], "dense_floor": 0.1},
    )
    assert index_body(spec, NOW)["mappings"]["_meta"] == {
        "tandem": {
            "schema": 1,
            "name": "docs",
            "created": "2026-01-02T03:04:05+00:00",
            "analyzers": [["hangul", "nori"], ["latin", "english"]],
            "sparse_field": "rank_features",
            "encoders": {"dense": DENSE.as_dict(), "sparse": SPARSE.as_dict()},
            "levels": ["fine"],
            "dense_floor": 0.1,
        }
    }


@pytest.mark.parametrize("dense", [None, DENSE], ids=["without dense", "with dense"])
@pytest.mark.parametrize("sparse", [None, SPARSE], ids=["without sparse", "with sparse"])
def test_what_meta_says_can_be_read_back(dense, sparse) -> None:
    spec = IndexSpec("docs", {"han": "cjk", "latin": "english"}, dense=dense, sparse=sparse)
    info = info_from_meta(index_meta(spec), name="docs", physical=spec.physical)
    assert (info.dense, info.sparse) == (dense, sparse)
    assert list(info.analyzers.items()) == [("han", "cjk"), ("latin", "english")]


def test_the_clock_dates_an_index_in_utc() -> None:
    created = datetime.fromisoformat(index_meta(IndexSpec("docs"))["created"])
    assert created.utcoffset().total_seconds() == 0
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60


@pytest.mark.parametrize("name", ["docs", "0", "help-desk_2.1", "a" * 200])
def test_index_names_that_are_allowed(name: str) -> None:
    check_index_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "Docs", "-docs", "_docs", ".docs", "a b", "a,b", "a*", "a/b", "문서", "a" * 201, "docs\n"],
)
def test_index_names_that_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="is not an index name"):
        IndexSpec(name)


def test_physical_names_stand_behind_the_logical_one() -> None:
    spec = IndexSpec("docs")
    assert spec.physical.startswith("docs-")
    assert seismic_name(spec.physical) == f"{spec.physical}-seismic"


def test_an_index_without_analyzer_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least one analyzer"):
        IndexSpec("docs", {})


@pytest.mark.parametrize(
    ("size", "allowed"),
    [(30_522, True), (32_768, True), (32_769, False), (119_547, False)],
)
def test_seismic_refuses_token_ids_that_overflow(size: int, allowed: bool) -> None:
    sparse = EncoderIdentity("sparse", "wide", "f", size)
    if allowed:
        assert IndexSpec("docs", sparse=sparse, sparse_field="seismic").sparse == sparse
    else:
        with pytest.raises(SettingsError, match="rank_features"):
            IndexSpec("docs", sparse=sparse, sparse_field="seismic")
    assert IndexSpec("docs", sparse=sparse).sparse == sparse


def test_the_analysis_comes_with_the_analyzer_that_needs_it() -> None:
    korean = index_body(IndexSpec("docs", {"latin": "english", "hangul": "tandem_cjk"}))
    assert set(korean["settings"]["analysis"]["analyzer"]) == {"tandem_cjk"}
    assert "analysis" not in index_body(IndexSpec("docs"))["settings"]


def test_a_portable_index_has_title_and_text_in_one_field() -> None:
    spec = IndexSpec("docs", {"hangul": "cjk", "latin": "english"}, portable=True)
    body = index_body(spec)["mappings"]
    fields = body["properties"]
    assert fields["title"]["copy_to"] == fields["text"]["copy_to"] == "passage"
    assert fields["passage"] == {k: v for k, v in fields["text"].items() if k != "copy_to"}
    info = info_from_meta(body["_meta"]["tandem"], name="docs", physical=spec.physical)
    assert info.portable
    assert info.text_fields("latin") == ["passage.latin"]
    assert not info_from_meta(index_meta(IndexSpec("docs")), name="docs", physical="p").portable
