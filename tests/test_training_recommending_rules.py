"""The decision table: who is named for what, and whether to tune."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from encoders.presets import all_presets
from opensearch.cli.root import main
from training.config import preset_names
from training.errors import TrainingError
from training.recommending.candidates import candidates
from training.recommending.choosing import USES, Recommendation, Wishes, estimated_ms, recommend
from training.recommending.figures import (
    COMMITTED,
    Figures,
    Gain,
    committed_values,
    read_figures,
)
from training.recommending.tuning_rule import tuning_advice

ROOT = Path(__file__).parent.parent


def names(found: Recommendation, kind: str | None = None) -> list[str]:
    chosen = [s.candidate for s in found.suggestions if kind in (None, s.candidate.kind)]
    return [candidate.name for candidate in chosen]


def ask(**wishes: object) -> Recommendation:
    return recommend(Wishes(**wishes), candidates(), read_figures())


@pytest.mark.parametrize(
    ("recall", "pairs", "verdict"),
    [
        (0.72, 1_000, "tune"),
        (0.72, 999, "more data first"),
        (0.72, None, "in between"),
        (0.799, 5_000, "tune"),
        (0.80, 5_000, "in between"),
        (0.90, 5_000, "in between"),
        (0.901, 5_000, "do not tune"),
        (0.85, 10, "in between"),
        (None, 5_000, "measure first"),
        (None, None, "measure first"),
    ],
)
def test_the_rule_for_tuning(recall: float | None, pairs: int | None, verdict: str) -> None:
    assert tuning_advice(recall, pairs).verdict == verdict


def test_few_pairs_are_answered_with_what_helps() -> None:
    for recall in (0.7, 0.85, None):
        text = " ".join(tuning_advice(recall, 300).sentences)
        assert "300 training pairs" in text and "tandem synthesize" in text
    assert "tandem synthesize" not in " ".join(tuning_advice(0.95, 300).sentences)


def test_the_table_agrees_with_the_presets() -> None:
    known = {model.name: model for model in candidates()}
    assert len(known) == len(candidates())
    for name, preset in all_presets().items():
        if name in known:
            assert known[name].licence == preset.licence
            assert known[name].dimension == preset.dimension
            assert known[name].languages == preset.languages
    assert not {use for model in candidates() for use in model.uses} - set(USES)
    for model in candidates():
        for word in model.why.replace(";", " ").replace(",", " ").split():
            if word.startswith(("dense-", "sparse-", "static-")):
                assert any(name.startswith(word) for name in preset_names()), word


def test_services_can_be_neither_tuned_nor_exported() -> None:
    services = [model for model in candidates() if model.service]
    assert services
    for model in services:
        assert not model.tunable
        assert "not tunable" in model.training()
        assert model.exporting() == "no"


def test_korean_gets_models_that_know_korean() -> None:
    found = ask(languages=("ko",), hosting="self")
    assert "all-MiniLM-L6-v2" in found.excluded
    assert {"Qwen3-Embedding-0.6B", "bge-m3", "static"} <= set(names(found))
    assert "korean-neural-sparse-encoder-v1" in names(found, "sparse")
    assert not any(s.candidate.service for s in found.suggestions)


def test_one_language_alone_prefers_its_own_models() -> None:
    assert names(ask(languages=("zh",)), "dense")[0] == "bge-large-zh-v1.5"
    assert names(ask(languages=("en",)), "dense")[0] == "all-mpnet-base-v2"
    both = ask(languages=("zh", "en"))
    assert "bge-large-zh-v1.5" in both.excluded
    assert any("Several languages" in note for note in both.notes)


def test_time_on_a_processor_is_measured_or_estimated_by_size() -> None:
    figures = read_figures()
    known = {model.name: model for model in candidates()}
    small = estimated_ms(known["all-MiniLM-L6-v2"], figures)
    base = estimated_ms(known["bge-base-en-v1.5"], figures)
    assert small is not None and small[1]
    assert base is not None and not base[1]
    assert base[0] == pytest.approx(small[0] * 85 / 10.6)
    found = ask(languages=("en",), latency_ms=small[0] + 1)
    assert names(found, "dense")[0] == "all-MiniLM-L6-v2"
    assert "estimated from its size" in found.excluded["bge-base-en-v1.5"]
    # Inference-free queries cost next to nothing.
    assert "opensearch-neural-sparse-encoding-doc-v3-distill" in names(found, "sparse")
    assert "opensearch-neural-sparse-encoding-v2-distill" in found.excluded


def test_without_a_gpu_giants_are_left_out_and_with_a_small_one_too() -> None:
    for memory in (0, 8):
        found = ask(languages=("ko",), gpu_memory_gb=memory, use="high-accuracy")
        assert "Qwen3-Embedding-8B" in found.excluded
    large = ask(languages=("ko",), gpu_memory_gb=40, use="high-accuracy", limit=9)
    assert "Qwen3-Embedding-8B" in names(large)
    tight = ask(languages=("ko",), gpu_memory_gb=2, use="high-accuracy", limit=9)
    (wide,) = [s for s in tight.suggestions if s.candidate.name == "Qwen3-Embedding-0.6B"]
    assert any("float32" in caution for caution in wide.cautions)


def test_licences_and_long_texts() -> None:
    found = ask(licences=("permissive",), limit=20)
    licences = {s.candidate.licence for s in found.suggestions if s.candidate.kind != "static"}
    assert licences == {"Apache-2.0", "MIT"}
    assert {s.candidate.licence for s in ask(licences=("mit",)).suggestions} >= {"MIT"}
    long = ask(use="long-documents", limit=20)
    assert all((s.candidate.max_tokens or 9_999) > 512 for s in long.suggestions)


def test_a_field_of_its_own_is_answered_with_tuning() -> None:
    found = ask(use="finance", pairs=300)
    assert any("FinBERT" in note for note in found.notes)
    large = [s for s in found.suggestions if (s.candidate.parameters or 0) > 100]
    assert large and all(any("few pairs" in c for c in s.cautions) for s in large)


def test_figures_are_those_that_were_committed() -> None:
    results = json.loads((ROOT / "docs" / "results.json").read_text())
    serving = json.loads((ROOT / "docs" / "serving-results.json").read_text())
    file = ROOT / "docs" / "training-results.json"
    training = json.loads(file.read_text()) if file.is_file() else {}
    packaged = json.loads((ROOT / "training" / "recommending" / COMMITTED).read_text())
    assert packaged == committed_values(results, serving, training), "benchmarks/model_figures.py"
    found = ask(languages=("en",), latency_ms=50)
    (small,) = [s for s in found.suggestions if s.candidate.name == "all-MiniLM-L6-v2"]
    by_set = {f.set_name: f.ndcg for f in small.figures}
    assert by_set["en_bankfaq test"] == results["en_bankfaq test"]["ndcg@10"]["dense"]
    # What a model does not know is no figure of it.
    assert not [name for name in by_set if not name.startswith("en_")]
    assert "mean NDCG@10" in " ".join(small.reasons)


def test_what_training_gained_is_shown_beside() -> None:
    results = {"en_a test": {"ndcg@10": dict.fromkeys(("bm25", "dense", "sparse"), 0.4)}}
    results["en_a test"]["recall@100"] = dict.fromkeys(("dense", "sparse"), 0.9)
    row = {"load": "query", "clients": 1, "batching": "off", "p50_ms": 10.0}
    serving = {"model": "all-MiniLM-L6-v2", "rows": [row]}
    dense = {"set": "en_a/test", "role": "dev", "base": 0.4}
    training = {
        "dense": [
            {**dense, "tuned": 0.5},
            {**dense, "tuned": 0.6},
            {**dense, "set": "en_b/test", "role": "floor", "tuned": 0.1},
        ],
        "sparse": [{"set": "en_a/test", "bm25": 0.4, "trained": {"ndcg": 0.5}, "untrained": {}}],
        "static": [{"set": "ko_a/dev", "leg": "dense", "base": 0.3, "tuned": 0.6}],
    }
    values = committed_values(results, serving, training)
    gains = tuple(Gain(**entry) for entry in values["gains"])
    assert [(g.model, g.leg, g.set_name, g.after) for g in gains] == [
        ("all-MiniLM-L6-v2", "dense", "en_a/test", 0.55),
        ("static", "dense", "ko_a/dev", 0.6),
        ("all-MiniLM-L6-v2", "sparse", "en_a/test", 0.5),
    ]
    figures = Figures(gains=gains, query_ms=values["query_ms"])
    found = recommend(Wishes(languages=("en",), limit=9), candidates(), figures)
    (small,) = [s for s in found.suggestions if s.candidate.name == "all-MiniLM-L6-v2"]
    text = " ".join(small.reasons)
    assert "trained here (dense): mean NDCG@10 0.550 over 1 set (untuned 0.400" in text
    assert "trained here (sparse): mean NDCG@10 0.500 over 1 set (BM25 0.400" in text
    assert small.as_dict()["trained"][0]["seeds"] == 2


def test_a_report_of_ones_own_decides(tmp_path: Path) -> None:
    metrics = {"ndcg@10": 0.4, "recall@10": 0.6, "recall@100": 0.9}
    better = {**metrics, "ndcg@10": 0.5, "recall@10": 0.7}
    report = {
        "systems": [
            {"label": "bm25", "model": "bm25"},
            {"label": "m", "model": "all-MiniLM-L6-v2"},
        ],
        "sets": [{"set": "mine/dev", "systems": {"bm25": metrics, "m": better}}],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    figures = read_figures(tmp_path / "report.json")
    assert figures.own_recall == 0.7
    found = recommend(Wishes(languages=("en",), pairs=2_000, limit=9), candidates(), figures)
    assert found.tuning.verdict == "tune"
    (small,) = [s for s in found.suggestions if s.candidate.name == "all-MiniLM-L6-v2"]
    assert (small.figures[0].set_name, small.figures[0].bm25) == ("mine/dev", 0.4)
    for broken in ("[]", "{}", "no json"):
        (tmp_path / "report.json").write_text(broken)
        with pytest.raises(TrainingError, match="no report of tandem compare"):
            read_figures(tmp_path / "report.json")


def test_the_command() -> None:
    run = CliRunner()
    arguments = ["models", "recommend", "--language", "en", "--use-case", "finance"]
    done = run.invoke(main, [*arguments, "--pairs", "3000", "--recall-at-10", "72"])
    assert done.exit_code == 0, done.output
    assert "bge-base-en-v1.5" in done.stdout and "Tune? Tune." in done.stdout
    shares = [
        json.loads(run.invoke(main, [*arguments, "--recall-at-10", share, "--json"]).stdout)
        for share in ("95", "0.95")
    ]
    assert shares[0] == shares[1]
    assert shares[0]["tuning"]["verdict"] == "do not tune"
    assert shares[0]["models"][0]["licence"] == "Apache-2.0"


def test_nothing_fits_is_said_with_the_reasons() -> None:
    arguments = ["models", "recommend", "--licence", "none", "--use-case", "long-documents"]
    done = CliRunner().invoke(main, [*arguments, "--language", "ko"])
    assert done.exit_code == 0  # one's own static model has no foreign licence
    table = tuple(model for model in candidates() if model.kind != "static")
    found = recommend(Wishes(licences=("none",)), table, read_figures())
    assert not found.suggestions
    assert found.excluded["bge-m3"] == "licence: MIT"
