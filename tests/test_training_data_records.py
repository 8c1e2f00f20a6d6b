import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.data.errors import MAX_FAULTS, TrainingDataError
from training.data.readers import read_records
from training.data.records import TrainingRecord, write_records


def lines_file(folder: Path, *lines: object, name: str = "train.jsonl") -> Path:
    path = folder / name
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def beir_folder(folder: Path, *judgements: str) -> Path:
    lines_file(
        folder,
        {"_id": "d1", "title": "Fees", "text": "A transfer is free."},
        {"_id": "d2", "title": "", "text": "A card costs 5 euros."},
        {"_id": "d3", "title": "", "text": "Nobody asks for this."},
        name="corpus.jsonl",
    )
    lines_file(
        folder,
        {"_id": "q1", "text": "What is a transfer?"},
        {"_id": "q2", "text": "And a card?"},
        name="queries.jsonl",
    )
    (folder / "qrels").mkdir()
    rows = ["query-id\tcorpus-id\tscore", *judgements]
    (folder / "qrels" / "train.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def faults_of(path: Path, split: str | None = None) -> tuple[str, ...]:
    with pytest.raises(TrainingDataError) as caught:
        list(read_records(path, split=split))
    return caught.value.faults


def test_flagembedding_records(tmp_path: Path) -> None:
    path = lines_file(
        tmp_path,
        {"query": "q", "pos": ["a", "b"], "neg": ["c"], "pos_scores": [1, 0.5], "prompt": "x"},
        "",
        {"query": "r", "pos": ["d"], "query_id": 7, "pos_id": ["7a"]},
    )
    first, second = read_records(path)
    assert first == TrainingRecord("q", ("a", "b"), ("c",), pos_scores=(1.0, 0.5))
    assert second == TrainingRecord("r", ("d",), query_id="7", pos_ids=("7a",))


def test_triplets_with_several_negatives(tmp_path: Path) -> None:
    path = lines_file(
        tmp_path,
        {"anchor": "q", "positive": "a", "negative_10": "n10", "negative_2": "n2"},
        {"query": "r", "positive": "b", "negative": "c"},
        {"anchor": "s", "positive": "d"},
    )
    records = list(read_records(path))
    assert [record.neg for record in records] == [("n2", "n10"), ("c",), ()]
    assert [record.query for record in records] == ["q", "r", "s"]


def test_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"query": "q", "pos": ["a"]}\n'))
    assert [record.query for record in read_records(path)] == ["q"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "bad JSON"),
        ("[1]", "a list, not an object"),
        ('{"query": "q", "query": "r", "pos": ["a"]}', "'query' comes twice"),
        ('{"query": "q", "pos": ["a"], "pos_scores": [NaN]}', "NaN is not JSON"),
        ('{"query": "q", "pos": ["a"], "pos_scores": [1e999]}', "not a finite number"),
        ({"pos": ["a"]}, "no query; keys there: pos"),
        ({"query": "q"}, "no pos; keys there: query"),
        ({"query": " ", "pos": ["a"]}, "query is empty"),
        ({"query": 3, "pos": ["a"]}, "query is a number"),
        ({"query": "q", "pos": "a"}, "pos is a string, not a list"),
        ({"query": "q", "pos": []}, "pos is empty"),
        ({"query": "q", "pos": ["a", ""]}, "pos[1] is empty"),
        ({"query": "q", "pos": ["a\0"]}, "NUL character"),
        ({"query": "q\ud800", "pos": ["a"]}, "lone surrogate"),
        ({"query": "q", "pos": ["a"], "neg": [None]}, "neg[0] is null"),
        ({"query": "q", "pos": ["a"], "neg": ["a"]}, "relevant and not: 'a'"),
        ({"query": "q", "pos": ["a"], "pos_scores": [1, 2]}, "2 entries for 1 texts"),
        ({"query": "q", "pos": ["a"], "neg_scores": [1]}, "1 entries for 0 texts"),
        ({"query": "q", "pos": ["a"], "pos_scores": ["x"]}, "pos_scores[0] is a string"),
        ({"query": "q", "pos": ["a"], "pos_scores": [True]}, "pos_scores[0] is a boolean"),
        ({"query": "q", "pos": ["a"], "pos_ids": []}, "0 entries for 1 texts"),
        ({"query": "q", "pos": ["a"], "neg_score": []}, "did you mean 'neg_scores'"),
        ({"anchor": "q", "query": "q", "positive": "a"}, "both anchor and query"),
        ({"anchor": "q", "positive": "a", "negative": 1}, "negative is a number"),
        ({"anchor": "q", "positive": "a", "negativ": "b"}, "did you mean 'negative'"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path: Path, line: object, said: str) -> None:
    path = lines_file(tmp_path, {"query": "good", "pos": ["a"]}, line)
    (fault,) = faults_of(path)
    assert fault.startswith(f"{path}:2: ")
    assert said in fault


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes('{"query": "é", "pos": ["a"]}\n'.encode("latin-1"))
    assert "not UTF-8" in faults_of(path)[0]


def test_all_faults_come_at_once_and_no_record_after_the_first(tmp_path: Path) -> None:
    path = lines_file(tmp_path, {"query": "q", "pos": ["a"]}, "{", {"query": "r", "pos": ["b"]}, 3)
    seen = []
    with pytest.raises(TrainingDataError, match="2 faults") as caught:
        for record in read_records(path):
            seen.append(record.query)
    assert seen == ["q"]
    assert [fault.split(": ")[0] for fault in caught.value.faults] == [f"{path}:2", f"{path}:4"]


def test_the_list_of_faults_ends(tmp_path: Path) -> None:
    path = lines_file(tmp_path, *["{"] * (MAX_FAULTS + 5))
    with pytest.raises(TrainingDataError, match=f"at least {MAX_FAULTS} faults"):
        list(read_records(path))


def test_an_empty_and_a_missing_file(tmp_path: Path) -> None:
    assert "no records" in faults_of(lines_file(tmp_path, ""))[0]
    assert "cannot be read" in faults_of(tmp_path / "none.jsonl")[0]


def test_a_split_is_for_folders(tmp_path: Path) -> None:
    path = lines_file(tmp_path, {"query": "q", "pos": ["a"]})
    assert "only for BEIR folders" in faults_of(path, "dev")[0]


def test_beir_folder(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path, "q1\td1\t1", "q1\td2\t0", "q2\td2\t0")
    (record,) = read_records(folder)
    assert record == TrainingRecord(
        query="What is a transfer?",
        pos=("Fees\nA transfer is free.",),
        neg=("A card costs 5 euros.",),
        query_id="q1",
        pos_ids=("d1",),
        neg_ids=("d2",),
    )


def test_beir_documents_that_are_missing(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path, "q1\td1\t1", "q2\td9\t1", "q2\td8\t0")
    where = folder / "qrels" / "train.tsv"
    assert faults_of(folder) == (
        f"{where}:3: document 'd9' is not in the corpus",
        f"{where}:4: document 'd8' is not in the corpus",
    )


def test_beir_faults_in_each_file(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path, "q1\td1\tx")
    assert "train.tsv:2: the grade 'x' is no integer" in faults_of(folder)[0]
    assert "no qrels/test.tsv" in faults_of(folder, "test")[0]
    (folder / "qrels" / "train.tsv").write_text("q1\td1\t1\n", encoding="utf-8")
    with (folder / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "d4"}\nnonsense\n')
    faults = faults_of(folder)
    assert [fault.split(": ")[0][-14:] for fault in faults] == ["corpus.jsonl:4", "corpus.jsonl:5"]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
filled = texts.filter(lambda text: bool(text.strip()))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    query=filled,
    pos=st.lists(filled, min_size=1, max_size=3),
    scores=st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, query: str, pos: list[str], scores: float
) -> None:
    record = TrainingRecord(
        query, tuple(pos), pos_scores=(scores,) * len(pos), query_id="1", pos_ids=("x",) * len(pos)
    )
    path = tmp_path_factory.mktemp("records") / "deep" / "train.jsonl"
    assert write_records([record, record], path) == 2
    assert list(read_records(path)) == [record, record]


def test_an_interrupted_writer_leaves_no_file(tmp_path: Path) -> None:
    def broken():
        yield TrainingRecord("q", ("a",))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(broken(), tmp_path / "train.jsonl")
    assert list(tmp_path.iterdir()) == []
