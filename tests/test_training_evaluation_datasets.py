import json
from pathlib import Path

import pytest

from training.errors import EvaluationError
from training.evaluation.datasets import (
    JudgedQueries,
    Query,
    find_split,
    load_judged,
    load_qrels,
    load_queries,
    load_split,
)


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def beir_query(query_id: str, text: str) -> str:
    return json.dumps({"_id": query_id, "text": text}, ensure_ascii=False)


def test_beir_queries_keep_file_order_and_metadata(tmp_path: Path) -> None:
    line = '{"_id": "b", "text": "이자율은?", "metadata": {"term": "이자"}}'
    path = written(tmp_path / "queries.jsonl", line, "", beir_query("a", "Fees?"))
    queries = load_queries(path)
    assert list(queries) == ["b", "a"]
    assert queries["b"] == Query("b", "이자율은?", {"term": "이자"})


def test_integer_ids_become_strings(tmp_path: Path) -> None:
    assert list(load_queries(written(tmp_path / "q.jsonl", '{"_id": 7, "text": "x"}'))) == ["7"]


@pytest.mark.parametrize("header", [[], ["id\ttext"], ["query-id\tquery"]])
def test_tsv_queries_with_and_without_header(tmp_path: Path, header: list[str]) -> None:
    path = written(tmp_path / "queries.tsv", *header, "1\thow much\tis it", "2\tfees")
    assert {q.id: q.text for q in load_queries(path).values()} == {
        "1": "how much\tis it",
        "2": "fees",
    }


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "queries.tsv"
    path.write_bytes(b"\xef\xbb\xbf1\tfees\r\n2\trates\r\n")
    assert [q.text for q in load_queries(path).values()] == ["fees", "rates"]
    assert "1" in load_queries(path)


@pytest.mark.parametrize(
    ("name", "lines", "where", "what"),
    [
        ("q.jsonl", [beir_query("a", "x"), "{oops"], 2, "not JSON"),
        ("q.jsonl", ["[1]"], 1, "not an object"),
        ("q.jsonl", ['{"text": "x"}'], 1, "no _id"),
        ("q.jsonl", ['{"_id": true, "text": "x"}'], 1, "no _id"),
        ("q.jsonl", ['{"_id": "a"}'], 1, "no text"),
        ("q.jsonl", [beir_query("a", "  ")], 1, "empty text"),
        ("q.jsonl", [beir_query("a", "x"), "", beir_query("a", "y")], 3, "a second time"),
        ("q.tsv", ["1 fees"], 1, "no tab"),
        ("q.tsv", ["\tfees"], 1, "empty id"),
    ],
)
def test_a_bad_query_names_file_and_line(
    tmp_path: Path, name: str, lines: list[str], where: int, what: str
) -> None:
    path = written(tmp_path / name, *lines)
    with pytest.raises(EvaluationError, match=what) as raised:
        load_queries(path)
    assert f"{path}:{where}:" in str(raised.value)


def test_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_bytes(b"1\tfees\n2\t\xb0\xa1\n")
    with pytest.raises(EvaluationError, match=r"q\.tsv:2: not UTF-8"):
        load_queries(path)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be read"):
        load_queries(tmp_path / "absent.jsonl")
    with pytest.raises(EvaluationError, match="no queries"):
        load_queries(written(tmp_path / "empty.jsonl", ""))
    with pytest.raises(EvaluationError, match="no judgements"):
        load_qrels(written(tmp_path / "qrels.tsv", "query-id\tcorpus-id\tscore"))


@pytest.mark.parametrize(
    "lines",
    [
        ["query-id\tcorpus-id\tscore", "q1\td 1\t2", "q1\td2\t0", "q2\td3\t1"],
        ["q1\td 1\t2", "q1\td2\t0", "q2\td3\t1"],
        ["q1\t0\td 1\t2", "q1\t0\td2\t0", "q2\t0\td3\t1"],
    ],
)
def test_qrels_in_every_form(tmp_path: Path, lines: list[str]) -> None:
    qrels = load_qrels(written(tmp_path / "qrels.tsv", *lines))
    assert qrels == {"q1": {"d 1": 2, "d2": 0}, "q2": {"d3": 1}}


def test_trec_qrels_separated_by_spaces(tmp_path: Path) -> None:
    qrels = load_qrels(written(tmp_path / "qrels.txt", "301 0 FR-1 1", "301  0 FR-2 -1"))
    assert qrels == {"301": {"FR-1": 1, "FR-2": -1}}


def test_a_repeated_judgement_is_fine_if_it_says_the_same(tmp_path: Path) -> None:
    assert load_qrels(written(tmp_path / "q.tsv", "a\td\t1", "a\td\t1")) == {"a": {"d": 1}}


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        (["a\td\t1", "a\tb\thigh"], 2, "no integer"),
        (["a\td\t1.5"], 1, "no integer"),
        (["a\td"], 1, "2 columns"),
        (["a\td\t1", "b\td\t1", "a\td\t2"], 3, "was graded 1 before and is 2"),
        (["a\td\t1", "z\td\t1"], 2, "'z' is judged but is not among the queries"),
    ],
)
def test_a_bad_judgement_names_file_and_line(
    tmp_path: Path, lines: list[str], where: int, what: str
) -> None:
    path = written(tmp_path / "qrels.tsv", *lines)
    with pytest.raises(EvaluationError, match=what) as raised:
        load_qrels(path, known={"a", "b"})
    assert f"{path}:{where}:" in str(raised.value)


def test_judged_queries_leave_out_what_cannot_be_scored_and_say_why() -> None:
    queries = {i: Query(i, i) for i in ["c", "b", "a", "x"]}
    judged = JudgedQueries(queries, {"a": {"d": 1}, "b": {"d": 0}, "c": {"d": 2, "e": 0}})
    assert [query.id for query in judged] == ["c", "a"]
    assert len(judged) == 2
    assert judged.qrels == {"c": {"d": 2, "e": 0}, "a": {"d": 1}}
    assert judged.left_out == {"no judgement": 1, "no relevant document": 1}


def test_judged_queries_refuse_unknown_ids_and_empty_sets() -> None:
    with pytest.raises(EvaluationError, match="1 judged queries are not among the queries: 'b'"):
        JudgedQueries({"a": Query("a", "x")}, {"b": {"d": 1}})
    with pytest.raises(EvaluationError, match="no query can be scored: 1 queries read"):
        JudgedQueries({"a": Query("a", "x")}, {"a": {"d": 0}})


def test_load_judged_reports_the_line_of_an_unknown_query(tmp_path: Path) -> None:
    queries = written(tmp_path / "queries.jsonl", beir_query("a", "x"))
    qrels = written(tmp_path / "test.tsv", "a\td\t1", "b\td\t1")
    with pytest.raises(EvaluationError, match=r"test\.tsv:2: query 'b'"):
        load_judged(queries, qrels)


def beir_folder(folder: Path, *splits: str) -> Path:
    written(folder / "queries.jsonl", beir_query("a", "x"))
    for split in splits:
        written(folder / "qrels" / f"{split}.tsv", "query-id\tcorpus-id\tscore", "a\td\t1")
    return folder


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (("train", "dev", "test"), None, "test"),
        (("train", "dev"), None, "dev"),
        (("train",), None, "train"),
        (("dev", "test"), "dev", "dev"),
    ],
)
def test_which_split_is_chosen(
    tmp_path: Path, there: tuple[str, ...], wanted: str | None, chosen: str
) -> None:
    split = find_split(beir_folder(tmp_path / "bank", *there), wanted)
    assert split.name == f"bank/{chosen}"
    assert load_split(split).qrels == {"a": {"d": 1}}
    assert load_split(split).name == split.name


def test_an_absent_split_lists_those_there(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "bank", "dev", "train")
    with pytest.raises(EvaluationError, match=r"no qrels/test.tsv; splits there: dev, train"):
        find_split(folder, "test")
    with pytest.raises(EvaluationError, match="splits there: none"):
        find_split(beir_folder(tmp_path / "bare"))
    with pytest.raises(EvaluationError, match=r"no queries.jsonl.*it holds: nothing"):
        find_split(tmp_path / "absent")
