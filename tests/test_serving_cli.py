"""The command ``tandem serve`` as far as it ends by itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from encoders.lexical import LexicalEncoder
from opensearch.cli.root import main
from serving.config import Limits, ServeConfig
from serving.statistics import statistics_of_index


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_SERVE_TOKEN", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["serve", *arguments])


def test_check_says_what_would_be_served(tmp_path: Path) -> None:
    path = tmp_path / "lexical.json"
    path.write_text(json.dumps(LexicalEncoder.fit(["a fee", "a loan"]).state()), encoding="utf-8")
    words = ("--sparse", "lexical", "--statistics", str(path))
    result = run("--dense", "all-MiniLM-L6-v2", *words, "--check", "--json")
    assert result.exit_code == 0, result.output
    models = json.loads(result.stdout)["models"]
    assert [entry["kind"] for entry in models] == ["dense", "sparse"]
    assert models[0]["model"] == "all-MiniLM-L6-v2"
    assert models[0]["runtime"].startswith("onnx on ")
    readable = run("--check")
    assert "dense   all-MiniLM-L6-v2, 384 dimensions" in readable.output
    assert "without a token" in readable.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "TANDEM_SERVE_TOKEN"),
        (["--max-texts", "10", "--queue", "5"], "--queue"),
        (["--sparse", "lexical"], "--statistics-of INDEX"),
        (["--dense", "no-such-model"], "Unknown model"),
    ],
)
def test_what_cannot_be_served_is_said(arguments: list[str], message: str) -> None:
    result = run(*arguments, "--check")
    assert result.exit_code == 1, result.output
    assert message in result.output


def test_statistics_without_their_encoder_are_misuse(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{", encoding="utf-8")
    result = run("--statistics", str(path), "--check")
    assert result.exit_code == 2
    assert "--sparse lexical" in result.output
    broken = run("--sparse", "lexical", "--statistics", str(path), "--check")
    assert broken.exit_code == 1
    assert "not valid JSON" in broken.output
    path.write_text("[]", encoding="utf-8")
    assert "no statistics" in run("--sparse", "lexical", "--statistics", str(path)).output


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name)
    )
    result = run("--check")
    assert result.exit_code == 1
    assert "tandem-search[serve]" in result.output


def test_options_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "serving.process.serve", lambda server, config: seen.append((server, config))
    )
    monkeypatch.setenv("TANDEM_SERVE_TOKEN", "t0ken")
    result = run(
        *("--host", "0.0.0.0", "--port", "9", "--max-batch-tokens", "77"),
        *("--batch-wait-ms", "3", "--queue", "50", "--max-texts", "40", "--open-metrics"),
        *("--max-request-bytes", "1000", "--max-text-characters", "99", "--timeout", "7"),
        *("--max-batch-texts", "5", "--stop-timeout", "8", "--max-in-flight", "6", "--matryoshka"),
    )
    assert result.exit_code == 0, result.output
    ((server, config),) = seen
    assert isinstance(config, ServeConfig)
    assert config.limits == Limits(1000, 40, 99)
    assert (config.batching.wait_ms, config.batching.max_texts, config.batching.queue) == (3, 5, 50)
    assert (config.host, config.port, config.token) == ("0.0.0.0", 9, "t0ken")
    assert (config.timeout_s, config.stop_s, config.in_flight) == (7, 8, 6)
    assert config.open_metrics and config.matryoshka
    assert server.engine.models.dense.plan.max_tokens == 77


def test_statistics_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from serving.errors import ServingError

    info = SimpleNamespace(sparse=SimpleNamespace(model="lexical", fingerprint="f1"), notes={})
    states = {"f1": {"encoder": "lexical"}, "f2": {"encoder": "words"}}
    monkeypatch.setattr("serving.statistics.open_cluster", lambda url: url)
    monkeypatch.setattr("serving.statistics.read_index_info", lambda client, name: info)
    monkeypatch.setattr("serving.statistics.load_state", lambda client, name: states[name])
    assert statistics_of_index("docs", None) == {"encoder": "lexical"}
    info.sparse = SimpleNamespace(model="other", fingerprint="f3")
    info.notes = {"word_statistics": "f2"}
    assert statistics_of_index("docs", None) == {"encoder": "words"}
    info.notes = {}
    with pytest.raises(ServingError, match="keeps no statistics"):
        statistics_of_index("docs", None)
