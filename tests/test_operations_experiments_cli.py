"""``tandem ab`` as far as it needs no cluster, and the opening of arms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from experiment_samples import experiment
from serving_samples import FakeDense, FakeSparse

from encoders.lexical import LexicalEncoder
from opensearch.cli.root import main
from opensearch.index_info import IndexInfo
from opensearch.plan import QueryEncoders, SearchRequest
from operations.experiments import looking, opening
from operations.experiments.columns import QueryColumns
from operations.experiments.errors import NoExperimentError
from operations.experiments.experiment import Arm
from operations.experiments.looking import no_columns
from operations.experiments.opening import ArmOpener
from operations.experiments.planning import log_baseline


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ab", *arguments])


def test_power_without_a_cluster() -> None:
    words = ("--baseline", "0.3", "--queries-per-user", "4", "--minimum-effect", "5%")
    result = run("power", *words, "--share", "0.5", "--expect-users-per-day", "1000", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["minimum_effect"] == pytest.approx(0.015)
    assert found["users"] > found["without_looks"] > 1000
    assert found["days"] == pytest.approx(found["users"] / 1000, abs=0.1)
    assert {point["effect"]: point["power"] for point in found["curve"]}[0.015] == 0.8
    readable = run("power", *words)
    assert "users show a difference of 0.015 in CTR@10" in readable.stdout
    assert "Baseline: an assumption" in readable.stderr


def test_interleaving_needs_fewer_users_of_its_own() -> None:
    result = run("power", "--method", "interleaving", "--share", "20%")
    assert result.exit_code == 0, result.output
    assert "preference for B" in result.stdout
    assert "users of the index have come by then" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["power", "--share", "110%"], 2, "not between 0 and 100 %"),
        (["power", "--share", "much"], 2, "neither a number"),
        (["power", "--minimum-effect", "0"], 2, "not above 0"),
        (["power", "--metric", "preference"], 2, "go together"),
        (["power", "--minimum-effect", "5%", "--deviation", "1"], 2, "needs a baseline"),
        (["power", "--metric", "clicks"], 1, "--deviation"),
        (["power", "--baseline", "7"], 1, "between 0 and 1"),
        (["power", "--share", "100%"], 1, "below 1 for a split"),
        (["start", "docs"], 2, "say what arm B is"),
    ],
)
def test_misuse(arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.output


class OneExperiment:
    """A store with one experiment in it."""

    def __init__(self, _: Any) -> None:
        self.one = experiment(share=0.1)

    def find(self, name: str) -> Any:
        if name != "docs":
            msg = "there is none"
            raise NoExperimentError(msg)
        return type("Stored", (), {"experiment": self.one})()

    def change(self, name: str, change: Any) -> Any:
        return change(self.one)


def columns_with(users: int, in_b: int) -> QueryColumns:
    ones = np.ones(users, np.int64)
    flags = np.arange(users) < in_b
    return QueryColumns(
        users, np.arange(users), flags, 9 * ones, ones, ones, ones, 20.0 * ones, 0 * ones
    )


def test_report_is_loud_about_a_wrong_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "ExperimentStore", OneExperiment)
    monkeypatch.setattr(looking, "read_columns", lambda *_: columns_with(1000, 500))
    found = run("report", "docs", "--url", "http://127.0.0.1:1")
    assert found.exit_code == 1
    assert "INVALID: arm B should have 10 % of the users and has 500 of 1000" in found.output
    as_json = run("report", "docs", "--url", "http://127.0.0.1:1", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["verdict"] == "invalid"


def test_report_of_nothing_and_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "ExperimentStore", OneExperiment)
    monkeypatch.setattr(looking, "read_columns", lambda *_: no_columns())
    found = run("report", "docs", "--url", "http://127.0.0.1:1")
    assert found.exit_code == 0, found.output
    assert "too few users" in found.output
    missing = run("report", "nothing", "--url", "http://127.0.0.1:1")
    assert missing.exit_code == 1
    assert "there is none" in missing.output


def test_the_baseline_of_a_log() -> None:
    assert log_baseline(columns_with(20, 0), "ctr", None) is None
    varied = columns_with(1400, 0)
    varied.clicks_in_k[::2] = 0
    found = log_baseline(varied, "ctr", None)
    assert found is not None
    assert (found.value, found.users_per_day) == (0.5, 100.0)
    assert found.deviation == pytest.approx(0.5, rel=1e-3)
    # Never interleaved: as if every query with a click were won by one of the arms.
    preference = log_baseline(varied, "preference", 70.0)
    assert preference is not None
    assert preference.deviation == pytest.approx(np.sqrt(2))  # half of the users clicked
    assert preference.users_per_day == 70.0


def test_serve_wants_a_salt_before_it_logs_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TANDEM_FEEDBACK_SALT", raising=False)
    monkeypatch.delenv("TANDEM_SERVE_TOKEN", raising=False)
    words = ("--search", "docs", "--url", "http://127.0.0.1:1", "--check")
    path = tmp_path / "lexical.json"
    path.write_text(json.dumps(LexicalEncoder.fit(["a fee", "a loan"]).state()), encoding="utf-8")
    sparse = ("--sparse", "lexical", "--statistics", str(path))
    result = CliRunner().invoke(main, ["serve", *words, *sparse])
    assert result.exit_code == 1, result.output
    assert "set TANDEM_FEEDBACK_SALT" in result.output


def info(physical: str, dense: Any, sparse: Any = None) -> IndexInfo:
    return IndexInfo("docs", physical, {"other": "standard"}, dense, sparse, notes={})


def test_arms_share_the_encoders_they_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, sparse = FakeDense(), FakeSparse()
    infos = {
        "docs-v1-1": info("docs-v1-1", dense.identity),
        "docs-v2-1": info("docs-v2-1", dense.identity, sparse.identity),
    }
    loaded: list[tuple[bool, bool]] = []

    def load(_: Any, one: IndexInfo, __: Any) -> QueryEncoders:
        loaded.append((one.dense is not None, one.sparse is not None))
        return QueryEncoders(one.dense and dense, one.sparse and sparse)

    monkeypatch.setattr(opening, "read_index_info", lambda _, name: infos[name])
    monkeypatch.setattr(opening, "load_query_encoders", load)
    opener = ArmOpener(client=None)
    arms = [opener(Arm(name)) for name in infos]
    assert [arm.arm.physical for arm in arms] == list(infos)
    assert sum(has_dense for has_dense, _ in loaded) == 1
    assert sum(has_sparse for _, has_sparse in loaded) == 1
    encoders = [arm.searcher._encoders for arm in arms]
    assert encoders[0].dense is encoders[1].dense
    assert encoders[0].dense.encode_queries(["a"]).shape == (1, 8)
    assert encoders[1].sparse.tokens([3]) == ["w3"]
    assert encoders[1].sparse.knows(["a"]) == [True]


def test_an_arm_by_pipeline_is_fused_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    class Client:
        def search(self, *, index: str, body: Any) -> Any:
            sent.append((index, body["search_pipeline"]))
            return {"_shards": {}, "hits": {"hits": []}}

    dense = FakeDense()
    monkeypatch.setattr(opening, "read_index_info", lambda _, n: info(n, dense.identity))
    monkeypatch.setattr(opening, "load_query_encoders", lambda *_: QueryEncoders(dense))
    arm = ArmOpener(Client())(Arm("docs-v1-1", pipeline="other-weights"))
    arm.search(SearchRequest("words"))
    arm.search(SearchRequest("words", mode="dense"))
    assert sent == [("docs-v1-1", "other-weights"), ("docs-v1-1", "_none")]
