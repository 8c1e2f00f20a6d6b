"""A plan against a real node: sizes as predicted, and a measurement that leaves nothing behind."""

import json
import random
import uuid
from pathlib import Path

import pytest

from encoders.options import LoadOptions
from ingest.corpus import CorpusOptions, read_corpus
from opensearch.client import connect
from opensearch.index_info import read_index_info
from opensearch.indices import force_merge
from opensearch.plan import SearchRequest
from opensearch.settings import load_settings
from opensearch.workflows.build import BuildJob, build_index
from opensearch.workflows.query_encoders import open_searcher
from operations.planning.candidates import Candidate
from operations.planning.measuring import measure
from operations.planning.sampling import sample_documents
from operations.planning.sizing import disk, total
from operations.planning.workload import Models, corpora

pytestmark = [pytest.mark.node, pytest.mark.operations]

WORDS = Path(__file__).read_text(encoding="utf-8").replace("_", " ").split()


def corpus(folder: Path, count: int) -> Path:
    """Documents of random words with some hundred different ones."""
    generator = random.Random(3)
    path = folder / "docs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = " ".join(generator.choices(WORDS, k=60)) + f" case {number}"
            file.write(json.dumps({"_id": f"doc-{number}", "text": text}) + "\n")
    return path


@pytest.mark.parametrize("top_k", [None, 8])
def test_size_is_as_planned(node_url, tmp_path, top_k):
    client = connect(load_settings(node_url))
    source = corpus(tmp_path, 500)
    sample = sample_documents(read_corpus(CorpusOptions(source=source)), 250)
    candidate = Candidate(sparse="lexical", top_k=top_k)
    (planned,) = (
        total(disk(found, candidate))
        for found in corpora(sample, Models(sparse_name="lexical"), [candidate]).values()
    )
    name = f"test-{uuid.uuid4().hex[:12]}"
    try:
        job = BuildJob(
            index=name,
            corpus=CorpusOptions(source=source),
            dense="none",
            load=LoadOptions(top_k=top_k),
        )
        report = build_index(client, job)
        hits = open_searcher(client, report.info, LoadOptions()).search(
            SearchRequest("index size of the sample", mode="sparse")
        )
        force_merge(client, report.info)
        client.indices.flush(index=report.info.physical)
        stats = client.indices.stats(index=report.info.physical, metric="store")
        measured = stats["_all"]["primaries"]["store"]["size_in_bytes"]
    finally:
        client.indices.delete(index=f"{name}-v0-*", params={"ignore": 404})
    assert hits.hits
    assert planned == pytest.approx(measured, rel=0.2)


def test_a_measurement_leaves_nothing_behind(node_url, tmp_path):
    client = connect(load_settings(node_url))
    sample = sample_documents(read_corpus(CorpusOptions(source=corpus(tmp_path, 12))), 12)
    models = Models.load_named("all-MiniLM-L6-v2", "lexical", LoadOptions())
    found = measure(client, sample, models)
    assert not [n for n in client.indices.get(index="*") if n.startswith("tandem-plan-")]
    assert found.dense_s_per_token["all-MiniLM-L6-v2"] > 0
    assert all(gain > 0 for gain in found.parallel.values())
    assert set(found.parallel) == {"plain", "dense"}
    assert {"bm25", "dense"} <= set(found.query_ms)


def test_compressed_vectors_are_found(node_url, tmp_path):
    client = connect(load_settings(node_url))
    name = f"test-{uuid.uuid4().hex[:12]}"
    source = CorpusOptions(source=corpus(tmp_path, 40))
    try:
        build_index(client, BuildJob(name, source, sparse="none", compression="4x"))
        info = read_index_info(client, name)
        mapping = client.indices.get_mapping(index=info.physical)[info.physical]["mappings"]
        assert mapping["properties"]["dense"]["compression_level"] == "4x"
        assert info.notes["compression"] == "4x"
        searcher = open_searcher(client, info, LoadOptions())
        hits = searcher.search(SearchRequest("the size of an index", mode="dense")).hits
    finally:
        client.indices.delete(index=f"{name}-v0-*", params={"ignore": 404})
    assert hits
