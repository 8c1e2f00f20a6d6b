"""``tandem reindex``, ``rollback`` and ``versions``: options, misuse, what is printed."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from opensearch_samples import DENSE

from opensearch.cli.root import main
from operations.reindexing.catalogue import IndexVersion
from operations.reindexing.job import ReindexJob, ReindexProgress, ReindexReport
from operations.reindexing.rollback import RollbackReport

REPORT = ReindexReport("docs", "1.2.0", "docs-v0-1", "docs-v1.2.0-1", copied=3, swapped=True)


@dataclass
class Ran:
    """What a command asked for."""

    job: ReindexJob | None = None
    options: dict[str, Any] | None = None


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The library behind the commands, replaced."""
    found = Ran()

    def reindex(_: Any, job: ReindexJob, events: Any) -> ReindexReport:
        found.job = job
        events.stage("copying", "filling docs-v1.2.0-1")
        events.progress(ReindexProgress(1, 3))
        return REPORT

    def rollback(_: Any, name: str, **options: Any) -> RollbackReport:
        found.options = {"name": name, **options}
        return RollbackReport(name, "docs-v1.2.0-1", "docs-v0-1", swapped=True, carried=2)

    class Registry:
        @staticmethod
        def open(url: str | None) -> Any:
            def fetch(name: str, ref: str) -> Any:
                manifest = SimpleNamespace(version=f"{name}.{ref}.{url or 0}")
                return SimpleNamespace(manifest=manifest, dense="/models/dense", sparse=None)

            return SimpleNamespace(fetch=fetch)

    monkeypatch.setattr("opensearch.workflows.connection.open_cluster", lambda _: None)
    monkeypatch.setattr("operations.reindexing.reindex.reindex", reindex)
    monkeypatch.setattr("operations.reindexing.rollback.rollback", rollback)
    monkeypatch.setattr("operations.registry.registry.Registry", Registry)
    return found


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments))


def test_models_come_from_the_registry(ran: Ran) -> None:
    done = run("reindex", "docs", "--model", "2", "--registry", "r", "--rate", "5", "--no-swap")
    assert done.exit_code == 0, done.output
    assert (ran.job.version, ran.job.dense, ran.job.sparse) == ("docs.2.r", "/models/dense", None)
    assert (ran.job.rate, ran.job.swap, ran.job.keep) == (5.0, False, 2)
    assert run("reindex", "docs", "--model", "2", "--registry-name", "other").exit_code == 0
    assert ran.job.version == "other.2.0"


def test_models_can_be_named(ran: Ran) -> None:
    arguments = ("--dense", "m", "--sparse", "none", "--label", "2.0", "--dimension", "64")
    done = run("reindex", "docs", *arguments, "--json")
    assert done.exit_code == 0, done.output
    assert (ran.job.version, ran.job.dense, ran.job.sparse) == ("2.0", "m", "none")
    assert ran.job.load.dimension == 64
    printed = json.loads(done.stdout)
    assert (printed["from"], printed["to"]) == ("docs-v0-1", "docs-v1.2.0-1")
    assert "filling docs-v1.2.0-1" in done.stderr


@pytest.mark.parametrize("option", ["--dense", "--label"])
def test_a_registry_and_a_model_exclude_each_other(ran: Ran, option: str) -> None:
    done = run("reindex", "docs", "--model", "2", option, "x")
    assert done.exit_code == 2
    assert "--model names models and version" in done.stderr
    assert ran.job is None


def test_a_version_that_is_no_name_is_refused(ran: Ran) -> None:
    done = run("reindex", "docs", "--label", "Two!")
    assert done.exit_code == 1
    assert "cannot be a version of an index" in done.stderr


def test_a_rollback_tells_what_it_carried(ran: Ran) -> None:
    done = run("rollback", "docs", "--to", "0", "--no-catch-up")
    assert done.exit_code == 0, done.output
    assert (ran.options["to"], ran.options["catch_up"]) == ("0", False)
    assert "2 passages were carried over" in done.stderr
    assert json.loads(run("rollback", "docs", "--json").stdout)["carried"] == 2


def test_versions_are_a_table_or_json(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    created = "2026-01-02T03:04:05+00:00"
    found = IndexVersion(
        "docs-v0-1", "0", 1, True, "current", 1234, 5_600_000, created, DENSE, None
    )
    monkeypatch.setattr("operations.reindexing.catalogue.index_versions", lambda *_: [found])
    table = run("versions", "docs").stdout.splitlines()
    assert table[1].split("  ")[0] == "docs-v0-1"
    assert "1,234" in table[1] and "5.6 MB" in table[1] and "tiny-dense (ddddddd)" in table[1]
    (printed,) = json.loads(run("versions", "docs", "--json").stdout)
    assert printed["dense"]["model"] == "tiny-dense" and printed["sparse"] is None
