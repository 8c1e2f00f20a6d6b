"""Queries for documents without any: strict answers, an LLM that misbehaves, resuming, offline."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_llm import FakeLlm, fake_llm

from encoders.errors import EncoderServiceError
from encoders.llm.chat import ChatClient
from encoders.service_client import RetryPolicy
from opensearch.cli.root import main
from training.data.progress_log import ProgressLog
from training.data.readers import read_records
from training.data.synthesis.answers import AnswerFault, parse_answer
from training.data.synthesis.chunks import Passage
from training.data.synthesis.cost import estimate
from training.data.synthesis.job import NOT_FOUND, Logs, synthesise
from training.data.synthesis.writers import LlmWriter

FAST = RetryPolicy(attempts=2, first_wait=0.001, max_wait=0.01, timeout=0.3)
PASSAGE = Passage("d1", "Lost card", "Report a lost card in the app at once.")
KOREAN = Passage("d2", "", "분실한 카드는 앱에서 바로 신고합니다.")
GOOD = json.dumps({"queries": [{"style": "question", "query": "what if my card is gone?"}]})


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with fake_llm(FakeLlm(write=lambda _: GOOD)) as running:
        yield running


def writer(llm: FakeLlm) -> LlmWriter:
    return LlmWriter(ChatClient.at(f"m@{llm.url}", policy=FAST), ("question", "keywords"), 2)


def logs(folder: Path) -> Logs:
    names = ("out.jsonl", "aside.jsonl")
    return Logs(*(ProgressLog(folder / name, {"n": 1}) for name in names))


@pytest.mark.parametrize(
    "answer",
    [
        "Sure! " + GOOD,
        "[]",
        '{"queries": []}',
        '{"queries": [{"query": ""}]}',
        '{"queries": [3]}',
        json.dumps({"queries": ["x" * 500]}),
        json.dumps({"queries": [PASSAGE.text]}),
        '{"queries": ["cut off',
    ],
)
def test_garbage_is_refused(answer: str) -> None:
    with pytest.raises(AnswerFault):
        parse_answer(answer, PASSAGE, ("question",), 3)


def test_good_answers_are_read() -> None:
    answer = '{"queries": [{"style": "question", "query": "a  b"}, {"query": "A B!"}, "c"]}'
    found = parse_answer(f"```json\n{answer}\n```", PASSAGE, ("question",), 3)
    assert [(w.query, w.source) for w in found] == [("A B!", "llm-other"), ("c", "llm-other")]
    assert parse_answer(GOOD, PASSAGE, ("question",), 3)[0].source == "llm-question"


def test_the_prompt_is_in_the_language_of_the_passage(llm: FakeLlm, tmp_path: Path) -> None:
    english, korean = (writer(llm).prompt_for(passage) for passage in (PASSAGE, KOREAN))
    assert "Write 2 queries in English" in english and PASSAGE.text in english
    assert "한국어로 2개" in korean and '{"queries"' in korean
    own = tmp_path / "own.txt"
    own.write_text("{count}: {text}", encoding="utf-8")
    mine = writer(llm)
    mine.prompt = own
    assert mine.prompt_for(PASSAGE) == f"2: {PASSAGE.text}"


def test_faults_of_the_endpoint_are_survived_and_garbage_set_aside(
    llm: FakeLlm, tmp_path: Path
) -> None:
    bad = json.dumps({"choices": [{"message": {"content": "no JSON"}}]})
    llm.faults = [429, bad, bad, bad, "drop"]  # d1: busy, garbage twice; d2: garbage, cut off
    report = synthesise([PASSAGE, KOREAN], writer(llm), logs(tmp_path))
    assert report.as_dict()["sources"] == {"llm-question": 1}
    assert report.set_aside == {"no usable answer": 1}
    (record,) = read_records(tmp_path / "out.jsonl")
    assert (record.pos, record.pos_ids) == ((KOREAN.whole,), ("d2",))
    assert "could not be used" in llm.prompts[-1]
    again = synthesise([PASSAGE, KOREAN], writer(llm), logs(tmp_path))
    assert (again.passages, again.skipped) == (0, 2)


def test_an_endpoint_that_stays_away_stops_the_run_and_keeps_what_is_done(
    llm: FakeLlm, tmp_path: Path
) -> None:
    llm.faults = []
    synthesise([PASSAGE], writer(llm), logs(tmp_path))
    llm.faults = [503, "hang"]
    with pytest.raises(EncoderServiceError):
        synthesise([PASSAGE, KOREAN], writer(llm), logs(tmp_path))
    report = synthesise([PASSAGE, KOREAN], writer(llm), logs(tmp_path))
    assert (report.passages, report.skipped) == (1, 1)


class Finds:
    def found(self, queries, passage_id):
        return [passage_id == "d1" for _ in queries]


def test_queries_that_miss_their_passage_are_set_aside(llm: FakeLlm, tmp_path: Path) -> None:
    report = synthesise([PASSAGE, KOREAN], writer(llm), logs(tmp_path), check=Finds())
    assert report.set_aside == {NOT_FOUND: 1}
    assert [r.pos_ids for r in read_records(tmp_path / "out.jsonl")] == [("d1",)]
    assert logs(tmp_path).done() == {"d1", "d2"}


def test_the_cost_is_an_estimate_by_language() -> None:
    cost = estimate(["word " * 800, "가" * 160], 3, 1.0, 10.0)
    assert (cost.passages, cost.tokens_in, cost.tokens_out) == (2, 1102, 210)
    assert cost.price == pytest.approx((1102 + 2100) / 1e6)
    assert "1,102" in cost.sentence()


def corpus(folder: Path) -> Path:
    path = folder / "docs.jsonl"
    texts = {
        "a": "# Cards\nLost cards are replaced within five working days by courier.",
        "b": "Pensions are paid on the tenth day of each month into your account.",
    }
    lines = [{"_id": k, "title": f"About {k}", "text": t} for k, t in texts.items()]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def test_without_an_llm_the_records_say_what_they_are(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    args = ["synthesize", str(corpus(tmp_path)), "-o", str(out), "--offline", "--json"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {line["source"] for line in lines} == {
        "offline-title", "offline-heading", "offline-key-phrase",
    }  # fmt: skip
    title = next(line for line in lines if line["source"] == "offline-title")
    assert title["query"] not in title["pos"][0]
    assert json.loads(done.stdout)["queries"] == len(list(read_records(out)))


def test_nothing_is_spent_without_agreement(llm: FakeLlm, tmp_path: Path) -> None:
    args = ["synthesize", str(corpus(tmp_path)), "-o", str(tmp_path / "o.jsonl")]
    args += ["--llm", f"m@{llm.url}", "--price-in", "1"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 2
    assert "--yes" in done.output and "tokens in" in done.output
    assert llm.prompts == []
    agreed = CliRunner().invoke(main, [*args, "--yes", "--json"])
    assert agreed.exit_code == 0, agreed.output
    assert len(llm.prompts) == 2
