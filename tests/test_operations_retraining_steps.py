"""Single steps: feedback, what is in production, what is published, the swap's last look."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from encoders.base import EncoderIdentity
from opensearch.index_info import IndexInfo
from opensearch.measurements import QUALITY_INDEX, measurement_body
from operations.feedback.errors import NoEvidenceError
from operations.feedback.events import QueryEvent, UserEvent
from operations.feedback.log_files import write_log
from operations.registry.draft import Draft
from operations.registry.manifest import Manifest, ModelEntry
from operations.registry.registry import Registry
from operations.registry.versions import Version
from operations.retraining.context import Context
from operations.retraining.errors import RetrainingError
from operations.retraining.evaluation import Cost, Finding, LegEvaluation, SetFinding
from operations.retraining.feedback import FRESH, RECORDS, feedback_probe
from operations.retraining.job import RetrainingJob, load_job
from operations.retraining.production import find_production, refuse_disagreement
from operations.retraining.report import headline, markdown
from operations.retraining.state import Failure, RunState, StepRecord
from operations.retraining.steps.collecting import collect_step
from operations.retraining.steps.indexing import swap_step
from operations.retraining.steps.mining import mine_step
from operations.retraining.steps.preparing import prepare_step
from operations.retraining.steps.reporting import measurements
from training.data.readers import read_records
from training.evaluation.datasets import find_split, load_split

JOB = """
name = "bank"
registry = "registry"
{more}
[collect]
{collect}
[prepare]
dev_share = 0.5
[train]
recipe = "static"
[evaluate]
frozen = [{{path = "texts"}}]
"""
RECORDS_LINE = 'records = [{path = "records.jsonl"}]'
FEEDBACK = """
[collect.feedback]
files = ["log.jsonl"]
corpus = "texts"
fresh = 0.5
min_clients = 2
"""
WORDS = ("fee", "card", "limit", "rate", "loan", "fraud", "branch", "pension")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": w, "title": "", "text": f"All about the {w} of a bank."} for w in WORDS]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)), "utf-8")
    query = {"_id": "q", "text": "what is a fee"}
    (folder / "queries.jsonl").write_text(json.dumps(query) + "\n", "utf-8")
    (folder / "qrels" / "test.tsv").write_text("q\tfee\t1\n", "utf-8")
    records = [{"query": f"my own {w}", "pos": [d["text"]]} for w, d in zip(WORDS, documents)]  # noqa: B905
    records.append({"query": "what is a fee", "pos": [documents[0]["text"]]})
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    return tmp_path


def context(place: Path, collect: str = RECORDS_LINE, more: str = "", **results: Any) -> Context:
    path = place / "job.toml"
    path.write_text(JOB.format(collect=collect, more=more), encoding="utf-8")
    steps = {name: StepRecord("", {}, found, "", 0.0) for name, found in results.items()}
    return Context(load_job(path), place / "run", RunState("r", "", {}, "", steps))


def folder_of(known: Context, step: str) -> Path:
    found = known.step_folder(step)
    found.mkdir(parents=True)
    return found


def log(place: Path) -> None:
    """Five people ask for each word and click the third of three results."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[QueryEvent | UserEvent] = []
    for number, word in enumerate(WORDS):
        others = [w for w in WORDS if w != word][:2]
        for person in range(6):
            at = moment + timedelta(hours=number, minutes=person)
            name, who = f"{word}-{person}", f"client-{person}"
            shown = (*others, word)
            events.append(QueryEvent(name, f"about the {word}", at, client_id=who, shown=shown))
            events.append(UserEvent("click", at, name, client_id=who, object_id=word, position=3))
    write_log(events, place / "log.jsonl")


def test_feedback_becomes_records_and_a_set_of_other_queries(place: Path) -> None:
    log(place)
    known = context(place, FEEDBACK)
    done = collect_step(known, folder_of(known, "collect"))
    records = list(read_records(known.step_folder("collect") / RECORDS))
    fresh = load_split(find_split(known.step_folder("collect") / FRESH))
    asked = {record.query for record in records} | {query.text for query in fresh}
    assert len(records) + len(fresh) == len(asked) == len(WORDS)
    assert done.result["records"] == len(records) > 0
    assert done.result["fresh_queries"] == len(fresh) > 0
    assert done.files == (RECORDS, FRESH)


def test_feedback_that_says_too_little_is_left_out_where_there_are_records(place: Path) -> None:
    log(place)
    demanding = FEEDBACK.replace("min_clients = 2", "min_clients = 50")
    told: list[str] = []
    known = context(place, RECORDS_LINE + demanding)
    known.tell = told.append
    done = collect_step(known, folder_of(known, "collect"))
    assert done.result["records"] == len(WORDS) + 1
    assert done.result["fresh_queries"] == 0
    assert done.files == ()
    assert "no feedback is used" in told[0]

    alone = context(place, demanding)
    alone.step_folder("collect").rename(place / "before")
    with pytest.raises(NoEvidenceError):
        collect_step(alone, folder_of(alone, "collect"))


def test_more_feedback_is_noticed(place: Path) -> None:
    log(place)
    settings = context(place, FEEDBACK).job.collect.feedback
    before = feedback_probe(settings, None)
    assert before == feedback_probe(settings, None)
    with (place / "log.jsonl").open("a") as file:
        file.write("\n")
    assert feedback_probe(settings, None) != before
    assert feedback_probe(None, None) is None


def test_too_few_records_stop_the_run(place: Path) -> None:
    known = context(place, f"{RECORDS_LINE}\nminimum = 10")
    with pytest.raises(RetrainingError, match=r"9 records are fewer than the 10"):
        collect_step(known, folder_of(known, "collect"))


def test_what_is_measured_is_not_trained_on(place: Path) -> None:
    known = context(place)
    done = prepare_step(known, folder_of(known, "prepare"))
    assert done.result["read"] == 9
    assert sum(done.result["set_aside"].values()) == 1
    queries = {r.query for r in read_records(known.step_folder("prepare") / "train.jsonl")}
    assert "what is a fee" not in queries
    assert set(done.files) == {"train.jsonl", "dev", "report.json"}


def test_without_a_table_nothing_is_mined(place: Path) -> None:
    known = context(place)
    assert mine_step(known, folder_of(known, "mine")).skipped == "the job has no table [mine]"


def publish(place: Path, *notes: str) -> Registry:
    registry = Registry.open(place / "registry")
    for note in notes:
        registry.publish("bank", Draft(sparse="lexical", notes=note, author="tests"))
    return registry


def test_production_is_told_by_the_registry_first(place: Path) -> None:
    more = 'production = {dense = "all-MiniLM-L6-v2"}'
    assert find_production(context(place)).source == "nothing"
    assert find_production(context(place, more=more)).models == {"dense": "all-MiniLM-L6-v2"}
    registry = publish(place, "first")
    assert find_production(context(place, more=more)).source == "job"
    registry.promote("bank", "1.0.0")
    found = find_production(context(place, more=more))
    assert (found.source, found.version, found.models) == (
        "registry",
        "1.0.0",
        {"sparse": "lexical"},
    )


@pytest.mark.parametrize(
    ("fingerprint", "options", "refused"),
    [("aa", {}, False), ("bb", {}, True), ("bb", {"dimension": 8}, False)],
)
def test_a_tag_that_a_rollback_left_behind_is_noticed(
    fingerprint: str, options: dict[str, int], refused: bool
) -> None:
    identity = EncoderIdentity("dense", "old", fingerprint, 8)
    info = IndexInfo("docs", "docs-v0-1", {}, identity, None, notes={"encoder_options": options})
    entry = ModelEntry({"fingerprint": "aa"}, folder="dense")
    manifest = Manifest("bank", Version(1, 1, 0), datetime.now(UTC), "tests", dense=entry)
    expected = pytest.raises(RetrainingError, match="After a rollback the tag must follow")
    with expected if refused else nullcontext():
        refuse_disagreement(info, manifest)


def swapping(place: Path, evaluated: str) -> Context:
    """A run that is about to swap; its candidate was held against a version."""
    known = context(place, publish={"version": "1.1.0"})
    record = StepRecord("", {}, {"production": {"version": evaluated}}, "", 0.0)
    known.state = RunState("r", "", {}, "", {**known.state.steps, "collect": record})
    return known


def test_the_swap_moves_the_tag_once_and_again(place: Path) -> None:
    registry = publish(place, "first", "second")
    registry.promote("bank", "1.0.0")
    known = swapping(place, "1.0.0")
    for _ in range(2):
        swap_step(known, place)
        tags = {tag: str(version) for tag, version in registry.tags("bank").items()}
        assert tags == {"production": "1.1.0", "previous": "1.0.0"}


def test_the_swap_refuses_where_another_version_came_into_production(place: Path) -> None:
    registry = publish(place, "first", "second", "by hand")
    registry.promote("bank", "1.2.0")
    with pytest.raises(RetrainingError, match=r"production is 1\.2\.0 by now; .* against 1\.0\.0"):
        swap_step(swapping(place, "1.0.0"), place)
    assert str(registry.tags("bank")["production"]) == "1.2.0"


def test_measurements_for_dashboards_have_known_fields(place: Path) -> None:
    found = Finding(9, 0.5, 0.6, 0.1, 0.0, 0.2, 0.03)
    metrics = dict.fromkeys(("ndcg@10", "ndcg@100", "mrr@10", "recall@10", "recall@100"), 0.5)
    entry = SetFinding("bank/test", "frozen", {**metrics, "map@10": 0.4}, metrics, found)
    leg = LegEvaluation("dense", (entry,), found, Cost(1.5, None, 64.0), None)
    known = context(place, evaluate={"legs": [leg.as_dict()]}, publish={"version": "1.1.0"})
    (document,) = measurements(known)
    fields = measurement_body(QUALITY_INDEX)["mappings"]["properties"]
    assert set(document) - set(fields) == {"version"}
    assert (document["ndcg_10"], document["difference"], document["mode"]) == (0.5, 0.1, "dense")
    assert list(measurements(context(place))) == []


def state(job: RetrainingJob, **more: Any) -> RunState:
    return RunState("r", "", {"records.jsonl": "ab12"}, "2026-01-01", **more)


def test_the_headline_says_what_came_of_it(place: Path) -> None:
    job = context(place).job
    published = {"publish": StepRecord("", {}, {"version": "1.1.0"}, "", 1.0)}
    swapped = {**published, "swap": StepRecord("", {}, {}, "", 1.0)}
    kept = {**published, "swap": StepRecord("", {}, {}, "", 1.0, "reindex.swap is off")}
    assert headline(job, state(job)) == "bank: nothing done yet"
    assert headline(job, state(job, steps=swapped)) == "bank: version 1.1.0 is in production"
    assert "published, tagged candidate" in headline(job, state(job, steps=kept))
    assert headline(job, state(job, reason="worse")) == "bank: the gate says no: worse"
    failed = Failure("train", "no room\nStart again", "2026-01-01")
    assert headline(job, state(job, failed=failed)) == "bank: train failed: no room"
    page = markdown(job, state(job, steps=swapped, failed=failed))
    assert "| publish | 1.0 |  |" in page
    assert "| records.jsonl | ab12 |" in page
