import json
from pathlib import Path

import pytest

from training.dev_sets import DevSet, ndcg
from training.errors import EvaluationError, TrainingError


def write(folder: Path, documents: int = 10, qrels: str = "q1\td1\t1\nq2\td2\t2\n") -> Path:
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"d{i}", "title": "T" * (i % 2), "text": f"text {i}"} for i in range(documents)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(1, 4)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (folder / "qrels" / "dev.tsv").write_text(qrels)
    return folder


def test_a_folder_is_read(tmp_path):
    dev_set = DevSet.load(write(tmp_path / "bank"))
    assert dev_set.name == "bank/dev"
    assert dev_set.query_ids == ["q1", "q2"]
    assert dev_set.query_texts == ["query 1", "query 2"]
    assert list(dev_set.documents())[:2] == ["text 0", "T\ntext 1"]
    assert list(dev_set.documents()) == list(dev_set.documents())


def test_the_metric_is_graded_ndcg(tmp_path):
    dev_set = DevSet.load(write(tmp_path))
    assert ndcg({"q1": {"d1": 1.0}, "q2": {"d2": 1.0}}, dev_set) == 1.0
    half = ndcg({"q1": {"d9": 2.0, "d1": 1.0}}, dev_set)
    assert half == pytest.approx(0.6309 / 2, abs=1e-4)


def test_a_sample_keeps_every_judged_document_and_the_order(tmp_path):
    folder = write(tmp_path, documents=200)
    sample = DevSet.load(folder, max_documents=20, seed=3)
    assert len(sample.doc_ids) == 20
    assert {"d1", "d2"} <= set(sample.doc_ids)
    assert list(sample.doc_ids) == sorted(sample.doc_ids, key=lambda d: int(d[1:]))
    assert len(list(sample.documents())) == 20
    assert sample.doc_ids == DevSet.load(folder, max_documents=20, seed=3).doc_ids
    assert sample.doc_ids != DevSet.load(folder, max_documents=20, seed=4).doc_ids
    assert len(DevSet.load(folder, max_documents=1).doc_ids) == 2


def test_queries_can_be_sampled(tmp_path):
    assert len(DevSet.load(write(tmp_path), max_queries=1).query_ids) == 1


def test_an_empty_set_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no judgements"):
        DevSet.load(write(tmp_path / "a", qrels="query-id\tcorpus-id\tscore\n"))
    with pytest.raises(TrainingError, match="no query can be scored"):
        DevSet.load(write(tmp_path / "b", qrels="q1\td1\t0\n"))
    with pytest.raises(EvaluationError, match="holds no documents"):
        DevSet.load(write(tmp_path / "c", documents=0))
    with pytest.raises(EvaluationError, match="none of the 2 relevant documents"):
        DevSet.load(write(tmp_path / "d", qrels="q1\tx1\t1\nq2\tx2\t1\n"))


@pytest.mark.parametrize("line", ["{", '{"_id": "x"}', '{"text": "x"}', "[]", '"x"'])
def test_a_faulty_document_is_named(tmp_path, line):
    folder = write(tmp_path)
    with (folder / "corpus.jsonl").open("a") as file:
        file.write("\n" + line)
    with pytest.raises(EvaluationError, match=r"corpus\.jsonl:11"):
        DevSet.load(folder)


def test_an_id_that_comes_twice_is_refused(tmp_path):
    folder = write(tmp_path)
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('\n{"_id": "d1", "text": "again"}')
    with pytest.raises(EvaluationError, match="1 ids come twice"):
        DevSet.load(folder)
