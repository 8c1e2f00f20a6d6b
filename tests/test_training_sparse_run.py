"""Whole runs on tiny models: they learn, resume, export; every preset runs on its architecture."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_models import (
    ENGLISH,
    dense_bert,
    dense_modernbert,
    sparse_bert_inference_free,
    sparse_modernbert,
)

from encoders.errors import EncoderError
from encoders.options import LoadOptions
from encoders.registry import load_sparse
from training.checkpoints import CheckpointError
from training.config import (
    ConfigError,
    check_values,
    merged,
    preset_names,
    preset_path,
    read_values,
)
from training.errors import TrainingError
from training.sparse.checkpoint import read_checkpoint
from training.sparse.config import SparseConfig
from training.sparse.gates import CollapsedError
from training.sparse.max_match import full_match, max_match
from training.sparse.run import train_sparse

WORDS = ["fee", "loan", "account", "currency", "deposits", "payments", "address", "customer"]
PRESETS = preset_names("sparse-")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder of 24 passages, its records and triplets."""
    root = tmp_path_factory.mktemp("data")
    texts = [f"{ENGLISH[n % 5]} {WORDS[n % 8]} {WORDS[(n * 3) % 8]}" for n in range(24)]
    queries = [f"{WORDS[n % 8]} {WORDS[(n * 3) % 8]} case {n}" for n in range(24)]
    (root / "qrels").mkdir()
    _lines(root / "corpus.jsonl", [{"_id": f"d{n}", "text": t} for n, t in enumerate(texts)])
    _lines(root / "queries.jsonl", [{"_id": f"q{n}", "text": t} for n, t in enumerate(queries)])
    for split, numbers in (("train", range(16)), ("dev", range(16, 24))):
        rows = [f"q{n}\td{n}\t1" for n in numbers]
        header = "query-id\tcorpus-id\tscore"
        (root / "qrels" / f"{split}.tsv").write_text("\n".join([header, *rows]) + "\n")
    records = [
        {
            "query": queries[n],
            "pos": [texts[n]],
            "neg": [texts[(n + 5) % 16]],
            "pos_scores": [3.0],
            "neg_scores": [1.0],
        }
        for n in range(16)
    ]
    _lines(root / "records.jsonl", records)
    triplets = [
        {"query": WORDS[n], "pos": [WORDS[(n + 1) % 8]], "neg": [WORDS[(n + 4) % 8]]}
        for n in range(8)
    ]
    _lines(root / "triplets.jsonl", triplets)
    return root


def _lines(path: Path, entries: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def _model(tmp_path: Path, build: Callable[[Path], None]) -> Path:
    folder = tmp_path / "base"
    build(folder)
    return folder


def _config(base: Path, data: Path, output: Path, /, **changes: Any) -> SparseConfig:
    values: dict[str, Any] = {
        "model": str(base),
        "output": str(output),
        "data": {
            "train": [{"path": str(data / "records.jsonl")}],
            "corpus": [str(data)],
            "dev": [{"path": str(data), "split": "dev"}],
        },
        "head": {"expansion_rank": 8, "top_k": 40},
        "training": {"steps": 12, "batch_size": 8, "max_tokens": 32, "rates": {"backbone": 1e-3}},
        "sparsity": {"documents": 0.001},
        "evaluation": {"every": 4},
        "gates": {"min_active": 1, "max_active_share": 1.0},
    }
    return check_values(merged(values, changes), SparseConfig, source="test")


def _losses(output: Path) -> list[float]:
    entries = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


def _fell(losses: list[float]) -> bool:
    third = max(1, len(losses) // 3)
    return sum(losses[-third:]) < sum(losses[:third])


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))


def test_sentence_encoder_learns_and_writes_everything(
    data: Path, tmp_path: Path, own_cache: None
) -> None:
    output = tmp_path / "run"
    config = _config(
        _model(tmp_path, dense_bert),
        data,
        output,
        data={"synonyms": str(data / "triplets.jsonl"), "adapt": True},
        loss={"distillation": {"teachers": [{"model": "bm25", "scale": 0.2}]}},
        sparsity={"target": 20, "l1": 0.3},
    )
    result = train_sparse(config)
    assert _fell(_losses(output))
    assert result["steps"] == 12
    for name in ("config.toml", "log.jsonl", "curves.png", "README.md", "result.json"):
        assert (output / name).stat().st_size > 0
    assert 0 <= result["after"]["synonyms"]["combined"] <= 200
    (comparison,) = result["comparisons"].values()
    (before,), (after,) = (result[when]["dev"].values() for when in ("before", "after"))
    difference = after["metrics"]["ndcg@10"] - before["metrics"]["ndcg@10"]
    assert comparison["difference"] == pytest.approx(difference, abs=1e-6)
    assert f"| {comparison['verdict']} |" in (output / "README.md").read_text()
    documents = [
        load_sparse(str(output / "model"), LoadOptions(runtime=r)) for r in ("torch", "onnx")
    ]
    first, second = (encoder.encode_documents(list(ENGLISH)) for encoder in documents)
    for one, other in zip(first, second, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert one.weights == pytest.approx(other.weights, abs=1e-4)


def test_a_killed_run_resumes_with_the_same_result(data: Path, tmp_path: Path) -> None:
    base = _model(tmp_path, dense_bert)
    floor = shutil.copytree(data, tmp_path / "floor")
    sets = {"floor": [{"path": str(floor), "split": "dev"}]}
    changes = {"training": {"dropout": 0.1}, "data": sets}
    whole = train_sparse(_config(base, data, tmp_path / "whole", **changes))

    class Killed(Exception):
        pass

    def kill(entry: dict[str, Any]) -> None:
        if entry["step"] == 10:
            raise Killed

    config = _config(base, data, tmp_path / "killed", **changes)
    with pytest.raises(Killed):
        train_sparse(config, tell=kill)
    with pytest.raises(TrainingError, match="--resume"):
        train_sparse(config)
    resumed = train_sparse(config, resume=True)
    for part in ("before", "after", "floor_before", "floor_after", "comparisons"):
        assert resumed[part] == whole[part]
    assert list(resumed["comparisons"]) == [f"{data.name}/dev", "floor/dev"]
    assert _losses(tmp_path / "killed") == _losses(tmp_path / "whole")


def test_a_damaged_checkpoint_is_named(data: Path, tmp_path: Path) -> None:
    config = _config(_model(tmp_path, dense_bert), data, tmp_path / "run", training={"steps": 4})
    train_sparse(config)
    state = tmp_path / "run" / "checkpoints" / "checkpoint-4" / "state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="checkpoint-4"):
        train_sparse(config, resume=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_run_on_tiny_models_of_their_architecture(
    preset: str, data: Path, tmp_path: Path, own_cache: None
) -> None:
    values = read_values(preset_path(preset))
    korean = "korean" in preset or "v33" in preset
    dense = values["recipe"] == "sentence-encoder"
    build = dense_bert if dense else sparse_modernbert if korean else sparse_bert_inference_free
    records = "triplets.jsonl" if "korean" in preset else "records.jsonl"
    shrunk = {
        "model": str(_model(tmp_path, build)),
        "output": str(tmp_path / "run"),
        "data": {
            "train": [{"path": str(data / records)}],
            "corpus": [str(data)],
            "dev": [{"path": str(data), "split": "dev"}],
        },
        "training": {
            "steps": 12,
            "batch_size": 8,
            "accumulate": 1,
            "max_tokens": 32,
            # Tiny random networks move at rates that would destroy a real one.
            "rates": {"backbone": 3e-3},
            "seed": 1,
        },
        "sparsity": {"ramp": 0.0},
        "evaluation": {"every": 12},
        "gates": {"min_active": 0, "max_active_share": 1.0},
    }
    if dense:
        shrunk["loss"] = {"distillation": {"teachers": [{"model": "bm25"}]}}
        shrunk["head"] = {"expansion_rank": 8}
    config = check_values(merged(values, shrunk), SparseConfig, source=preset)
    train_sparse(config)
    assert _fell(_losses(tmp_path / "run"))
    folder = str(tmp_path / "run" / "model")
    first, second = (
        load_sparse(folder, LoadOptions(runtime=runtime)).encode_documents(list(ENGLISH))
        for runtime in ("torch", "onnx")
    )
    for one, other in zip(first, second, strict=True):
        assert one.weights.sum() == pytest.approx(other.weights.sum(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("build", [dense_bert, dense_modernbert], ids=["bert", "modernbert"])
def test_prior_gradient_equals_the_full_one(
    build: Callable[[Path], None], data: Path, tmp_path: Path
) -> None:
    from training.sparse.prior_student import PriorStudent
    from training.sparse.run import START

    config = _config(
        _model(tmp_path, build),
        data,
        tmp_path / "run",
        training={"steps": 1, "rates": {"words": 1e-4, "queries": 1e-4}},
    )
    train_sparse(config)
    student = PriorStudent.load(tmp_path / "run" / START, device="cpu")
    found = [_gradients(student, config, match) for match in (full_match, max_match)]
    _assert_same(*found)


def test_splade_gradient_equals_the_full_one(data: Path, tmp_path: Path) -> None:
    from training.sparse import splade_student

    config = _config(
        _model(tmp_path, sparse_modernbert), data, tmp_path / "run", recipe="splade", **_BI_ENCODER
    )
    found = []
    for match in (full_match, max_match):
        student = splade_student.build_splade(config, tmp_path / "start", "cpu")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(splade_student, "max_match", match)
            found.append(_gradients(student, config, None))
    _assert_same(*found)


_BI_ENCODER: dict[str, Any] = {
    "splade": {"query_side": "bi-encoder"},
    "sparsity": {"queries": 0.01, "documents": 0.01, "ramp": 0.0},
}


def _gradients(student: Any, config: SparseConfig, match: Any) -> dict[str, torch.Tensor]:
    from training.run_folder import RunFolder
    from training.sparse.batches import Batches
    from training.sparse.loop import Loop
    from training.sparse.sources import load_record_sets

    module = student.module().double()
    if match is not None:
        module.match = match
    if hasattr(student, "_keep"):
        student._keep = student._keep.double()
    batches = Batches(load_record_sets(config.data, [])[0], 8, 1, seed=3)
    loop = Loop(config, student, batches, RunFolder(config.output))
    module.eval()
    module.zero_grad()
    loss, _ = loop.loss(batches.batch(0))
    loss.backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


def _assert_same(full: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> None:
    assert full.keys() == exact.keys()
    assert sum(float(g.abs().sum()) for g in full.values()) > 0
    for name, gradient in full.items():
        torch.testing.assert_close(exact[name], gradient, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("side", ["inference-free", "bi-encoder"])
def test_cached_loss_of_sentence_transformers(side: str, data: Path, tmp_path: Path) -> None:
    config = _config(
        _model(tmp_path, sparse_bert_inference_free),
        data,
        tmp_path / "run",
        recipe="splade",
        splade={"gradient": "cached", "mini_batch_size": 4, "query_side": side},
    )
    train_sparse(config)
    assert _fell(_losses(tmp_path / "run"))


def test_pretraining_and_a_learned_table(data: Path, tmp_path: Path) -> None:
    config = _config(
        _model(tmp_path, sparse_bert_inference_free),
        data,
        tmp_path / "run",
        recipe="splade",
        splade={"query_table": "learned"},
        pretraining={"steps": 3, "batch_size": 4},
    )
    train_sparse(config)
    states = [
        read_checkpoint(tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")["module"]
        for step in (8, 12)
    ]
    name = next(key for key in states[0] if "query" in key and key.endswith("weight"))
    assert not torch.equal(states[0][name], states[1][name])
    assert load_sparse(str(tmp_path / "run" / "model"), LoadOptions(runtime="torch"))


def test_a_model_without_a_head_is_refused_or_given_one(data: Path, tmp_path: Path) -> None:
    base = _model(tmp_path, dense_bert)
    config = _config(base, data, tmp_path / "refused", recipe="splade")
    with pytest.raises(EncoderError, match=r"no masked-language head.*tied"):
        train_sparse(config)
    tied = _config(
        base,
        data,
        tmp_path / "tied",
        recipe="splade",
        splade={"head": "tied"},
        pretraining={"steps": 4, "batch_size": 8},
    )
    train_sparse(tied)
    assert load_sparse(str(tmp_path / "tied" / "model"), LoadOptions(runtime="torch"))


def test_gates(data: Path, tmp_path: Path) -> None:
    base = _model(tmp_path, dense_bert)
    dead = _config(base, data, tmp_path / "dead", gates={"min_active": 1000})
    with pytest.raises(CollapsedError, match="collapsed"):
        train_sparse(dead)
    full = _config(base, data, tmp_path / "full", gates={"max_active_share": 0.001})
    with pytest.raises(CollapsedError, match="nothing is sparse"):
        train_sparse(full)
    assert (tmp_path / "full" / "checkpoints" / "checkpoint-0").is_dir()
    wild = _config(base, data, tmp_path / "wild", training={"rates": {"backbone": 1e30}})
    with pytest.raises(TrainingError, match="the loss is nan"):
        train_sparse(wild)


def test_faults_of_a_configuration() -> None:
    data = {"train": [{"path": "x.jsonl"}]}
    for values, message in (
        ({"sparsty": {}}, "Did you mean 'sparsity'"),
        ({"loss": {"info_nce": 0}}, "nothing to learn"),
        ({"splade": {"head": "tied"}}, "for recipe = 'splade'"),
        (
            {"recipe": "splade", "splade": {"gradient": "cached"}, "sparsity": {"target": 5}},
            "take 'exact'",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            check_values({"data": data, **values}, SparseConfig, source="test")


def test_evaluation_queries_are_left_out_of_training(data: Path, tmp_path: Path) -> None:
    leaking = tmp_path / "leaking.jsonl"
    lines = (data / "records.jsonl").read_text().splitlines()
    query = json.loads((data / "queries.jsonl").read_text().splitlines()[20])["text"]
    leaked = {**json.loads(lines[0]), "query": query.upper()}
    leaking.write_text("\n".join([*lines, json.dumps(leaked)]) + "\n")
    base = _model(tmp_path, dense_bert)
    config = _config(
        base,
        data,
        tmp_path / "run",
        data={"train": [{"path": str(leaking)}]},
        training={"steps": 1},
    )
    result = train_sparse(config)
    assert (result["left_out"], result["records"]) == (1, 16)
    mostly = _config(
        base, data, tmp_path / "none", data={"train": [{"path": str(data), "split": "dev"}]}
    )
    with pytest.raises(TrainingError, match="8 of 8 training queries"):
        train_sparse(mostly)
