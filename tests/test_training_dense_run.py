import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from encoder_models import model_folder, write_json
from training_dense_samples import ACCOUNTS, ACTIONS, dense_config, write_set

from encoders.options import LoadOptions
from encoders.registry import load_dense
from training.checkpoints import CheckpointError
from training.dense.base_model import BaseModel, prepare_weights
from training.dense.fitting import Silence
from training.dense.losses import build_loss
from training.dense.merging import GateError
from training.dense.run import Options, train_dense
from training.errors import TrainingError

PAIRS = list(zip(ACCOUNTS, ACTIONS, strict=True))
TEXTS = ["open a savings account", "fee"]
TORCH = LoadOptions(runtime="torch")


class Recorder(Silence):
    def __init__(self):
        self.stages, self.reports = [], []

    def stage(self, text):
        self.stages.append(text)

    def step(self, report):
        self.reports.append(report)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("dense")


@pytest.fixture(scope="module")
def data(root):
    return write_set(root / "data")


@pytest.fixture(scope="module")
def bert(root):
    return model_folder("bert-mean", root)


@pytest.fixture(scope="module")
def done(root, data, bert):
    """A run from start to end: its folder, its result, what it reported."""
    progress = Recorder()
    config = dense_config(data, bert, root / "done", log={"report_to": ["tensorboard"]})
    result = train_dense(config, Options(progress=progress))
    return config, result.values, progress


def test_the_run_folder_is_complete(done):
    config, values, _ = done
    names = {path.name for path in config.output.iterdir()}
    assert {"config.toml", "log.jsonl", "curves.png", "README.md", "result.json"} < names
    assert {"adapter", "model", "checkpoints"} < names
    assert "rows" not in names
    assert (config.output / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((config.output / "result.json").read_text()) == values
    assert list(config.output.rglob("events.out.tfevents*"))


def test_the_base_model_is_measured_first(done):
    _, values, progress = done
    stages = progress.stages
    assert stages.index("measuring the base model") < stages.index("training")
    assert progress.reports[0].step == 0
    base = values["sets"][0]["base"]["ndcg@10"]
    assert progress.reports[0].dev == pytest.approx(base, abs=1e-6)


def test_loss_rate_and_dev_metric_are_reported(done):
    config, _, progress = done
    last = progress.reports[-1]
    assert (last.step, last.total) == (6, 6)
    assert None not in (last.loss, last.learning_rate, last.dev)
    log = [json.loads(line) for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in log if "loss" in e] == [1, 2, 3, 4, 5, 6]
    assert [e["step"] for e in log if "dev" in e] == [2, 4, 6]
    assert all(set(e["sets"]) == {"data/dev"} for e in log if "dev" in e)


def test_plain_sentence_transformers_loads_the_merged_model(done, bert):
    from sentence_transformers import SentenceTransformer

    config, _, _ = done
    merged = SentenceTransformer(str(config.output / "model"))
    assert not any("lora" in name for name, _ in merged.named_parameters())
    ours = load_dense(str(config.output / "model"), TORCH).encode_documents(TEXTS)
    assert np.allclose(merged.encode(TEXTS), ours, atol=1e-5)
    assert not np.allclose(ours, load_dense(str(bert), TORCH).encode_documents(TEXTS), atol=1e-3)


def test_adapter_and_merged_model_are_one(done):
    config, values, _ = done
    adapter = load_dense(str(config.output / "adapter"), TORCH).encode_documents(TEXTS)
    merged = load_dense(str(config.output / "model"), TORCH).encode_documents(TEXTS)
    assert np.abs(adapter - merged).max() < 1e-5
    size = sum(f.stat().st_size for f in (config.output / "adapter").glob("*.safetensors"))
    assert size < 0.5 * (config.output / "model" / "model.safetensors").stat().st_size
    assert values["gates"]["adapter_against_merged"] <= 1e-5


def test_the_card_has_what_a_reader_needs(done):
    config, values, _ = done
    card = (config.output / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sentence-transformers\n")
    for part in ("data/dev", "data/floor", "curves.png", "adapter.rank | 4", "Holm", "scale w"):
        assert part in card
    assert (config.output / "model" / "README.md").read_text() == card
    assert values["verdict"] in card
    assert values["sets"][0]["comparison"]["verdict"] in card


def test_the_result_names_both_models(done, bert):
    config, values, _ = done
    assert values["base"]["fingerprint"] == load_dense(str(bert), TORCH).identity.fingerprint
    tuned = load_dense(str(config.output / "model"), TORCH).identity.fingerprint
    assert values["model"]["fingerprint"] == tuned != values["base"]["fingerprint"]


def test_a_finished_run_is_neither_repeated_nor_overwritten(done):
    config, values, _ = done
    assert train_dense(config, Options(resume=True)).values == values
    with pytest.raises(TrainingError, match="holds a run already"):
        train_dense(config)


def test_two_runs_of_a_seed_are_one(done, data, bert, root):
    _, values, _ = done
    again = train_dense(dense_config(data, bert, root / "again")).values
    assert again["sets"] == values["sets"]
    assert again["model"]["fingerprint"] == values["model"]["fingerprint"]


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from training.config import load_config
from training.dense.config import DenseConfig
from training.dense.fitting import Silence
from training.dense.run import Options, train_dense

class Killer(Silence):
    def step(self, report):
        if report.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

train_dense(load_config(Path(sys.argv[1]), DenseConfig), Options(progress=Killer()))
"""


def test_a_killed_run_goes_on_to_the_same_result(done, data, bert, root):
    from training.config import save_config

    config = dense_config(data, bert, root / "killed")
    save_config(config, root / "killed.toml")
    here = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    command = [sys.executable, "-c", KILLED.format(paths=here), str(root / "killed.toml")]
    found = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr.decode()[-2000:]
    assert not (config.output / "result.json").exists()
    assert {p.name for p in (config.output / "checkpoints").glob("checkpoint-*")} == {
        "checkpoint-2",
        "checkpoint-4",
    }
    progress = Recorder()
    values = train_dense(config, Options(resume=True, progress=progress)).values
    assert min(report.step for report in progress.reports) == 4
    expected = done[1]
    assert values["sets"] == expected["sets"]
    assert losses(config) == pytest.approx(losses(done[0]), abs=1e-6)
    # Not bit by bit: another process may add up in another order.
    ours, theirs = (load_dense(str(run.output / "model"), TORCH) for run in (config, done[0]))
    assert ours.encode_documents(TEXTS) == pytest.approx(theirs.encode_documents(TEXTS), abs=1e-5)


def losses(config):
    lines = (config.output / "log.jsonl").read_text().splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def interrupted(done, root, name):
    """A copy of the finished run as it was before its end."""
    folder = root / name
    shutil.copytree(done[0].output, folder)
    (folder / "result.json").unlink()
    return done[0].model_copy(update={"output": folder})


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(done, root):
    config = interrupted(done, root, "damaged")
    folders = sorted((config.output / "checkpoints").glob("checkpoint-*"))
    last = config.output / "checkpoints" / "checkpoint-6"
    assert last in folders
    assert len(folders) > 1
    weights = next(last.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="checkpoint-6 is damaged"):
        train_dense(config, Options(resume=True))
    shutil.rmtree(last)
    values = train_dense(config, Options(resume=True)).values
    assert values["sets"] == done[1]["sets"]


def test_a_run_is_resumed_only_with_its_own_configuration(done, root):
    config = interrupted(done, root, "other")
    training = config.training.model_copy(update={"learning_rate": 1.0})
    with pytest.raises(TrainingError, match="but training changed"):
        train_dense(config.model_copy(update={"training": training}), Options(resume=True))


def test_a_loss_that_is_no_number_stops_the_run(data, bert, root, monkeypatch):
    config = dense_config(data, bert, root / "nan")
    broken = {"count": 0}
    from training.dense import run as run_module

    def spoiled(config, model, base):
        loss = build(config, model, base)
        forward = loss.forward

        def nan(*args, **kwargs):
            broken["count"] += 1
            return forward(*args, **kwargs) * (float("nan") if broken["count"] > 3 else 1.0)

        loss.forward = nan
        return loss

    build = run_module.build_loss
    monkeypatch.setattr(run_module, "build_loss", spoiled)
    with pytest.raises(TrainingError, match=r"loss is nan at step 4.*learning_rate"):
        train_dense(config)
    kept = config.output / "checkpoints" / "checkpoint-2"
    assert (kept / "complete.json").is_file()


@pytest.mark.parametrize("writer", ["weights", "optimizer"])
def test_a_full_disk_leaves_the_last_checkpoint(data, bert, root, monkeypatch, writer):
    import torch
    from sentence_transformers import SentenceTransformer

    config = dense_config(data, bert, root / f"full-{writer}")
    count = {"calls": 0}
    owner, name = (
        (SentenceTransformer, "save_pretrained") if writer == "weights" else (torch, "save")
    )
    original = getattr(owner, name)
    allowed = 1 if writer == "weights" else 3  # optimizer, schedule and generators are files

    def full(*args, **kwargs):
        count["calls"] += 1
        if count["calls"] > allowed:
            if writer == "weights":
                raise OSError(28, "No space left on device")
            msg = "[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file"
            raise RuntimeError(msg)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, full)
    with pytest.raises(TrainingError, match=r"Make room.*--resume"):
        train_dense(config)
    monkeypatch.undo()
    assert (config.output / "checkpoints" / "checkpoint-2" / "complete.json").is_file()
    assert train_dense(config, Options(resume=True)).values["steps"] == 6


def test_an_empty_dev_set_is_refused_before_anything_is_loaded(data, bert, root):
    (data / "qrels" / "empty.tsv").write_text("query-id\tcorpus-id\tscore\n")
    dev = [{"path": str(data), "split": "empty"}]
    config = dense_config(data, bert, root / "empty", data={"dev": dev})
    with pytest.raises(TrainingError, match="no judgements"):
        train_dense(config)


def test_a_leak_stops_the_run(data, bert, root):
    train = [{"path": str(data), "split": "dev"}]
    config = dense_config(data, bert, root / "leak", data={"train": train})
    with pytest.raises(TrainingError, match="evaluation queries as well"):
        train_dense(config)


def test_a_learning_rate_of_nothing_is_noticed(data, bert, root):
    config = dense_config(data, bert, root / "still", training={"learning_rate": 1e-12})
    with pytest.raises(GateError, match="changed nothing"):
        train_dense(config)
    assert not (config.output / "model").exists()


def test_the_wrong_padding_side_is_noticed_before_training(data, root, monkeypatch):
    qwen = model_folder("qwen3-lasttoken", root)
    folder = root / "qwen-wrong"
    shutil.copytree(qwen, folder)
    config = dense_config(data, folder, root / "padding")
    load = BaseModel.load

    def wrong(self):
        model = load(self)
        pooling = model[1]
        # Takes the last place of each row, whatever stands there.
        pooling.forward = lambda f, **_: {**f, "sentence_embedding": f["token_embeddings"][:, -1]}
        model.tokenizer.padding_side = "right"
        return model

    monkeypatch.setattr(BaseModel, "load", wrong)
    with pytest.raises(GateError, match="pads at the right side"):
        train_dense(config)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("full", {"adapter": {"method": "full", "last_layers": 1}}),
        ("cached", {"training": {"mini_batch_size": 3}}),
        ("matryoshka", {"loss": {"matryoshka": [8, 16]}}),
        ("guided", {"loss": {"false_negatives": {"margin": 0.1}}}),
        ("query", {"adapter": {"side": "query"}}),
    ],
)
def test_ways_to_train(data, bert, root, name, changes):
    config = dense_config(data, bert, root / f"way-{name}", **changes)
    values = train_dense(config).values
    assert values["steps"] == 6
    assert values["gates"]["changed"] > 1e-4
    assert (config.output / "adapter").is_dir() is (name != "full")


def test_gradient_caching_changes_nothing(data, bert, root):
    import torch

    found = {}
    for size in (None, 3):
        config = dense_config(data, bert, root / "x", training={"mini_batch_size": size})
        model = BaseModel.read(config).load()
        torch.manual_seed(0)  # of the adapter's first weights
        prepare_weights(model, config.adapter, bert)
        model.eval()  # without dropout
        loss = build_loss(config, model, None)
        columns = [[f"open a {a}" for a in ACCOUNTS], [f"the {a} of {b}" for a, b in PAIRS]]
        value = loss([model.preprocess(texts) for texts in columns], None)
        value.backward()
        found[size] = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert found[None].keys() == found[3].keys()
    for name, gradient in found[None].items():
        assert np.allclose(gradient, found[3][name], atol=1e-6), name
    assert max(float(g.abs().max()) for g in found[3].values()) > 1e-4


def test_query_only_training_leaves_documents_alone(data, bert, root):
    config = dense_config(data, bert, root / "query-only", adapter={"side": "query"})
    values = train_dense(config).values
    pair = json.loads((config.output / "model" / "query_side.json").read_text())
    base = load_dense(str(bert), TORCH)
    assert pair["documents"] == base.identity.as_dict()
    assert values["query_only"] is True
    assert "Queries only" in (config.output / "README.md").read_text()
    # What was measured is the tuned query against the base model's documents.
    from training.config import EvaluationSet
    from training.dev_sets import load_sets
    from training.exact_search import dense_run

    dev = load_sets([EvaluationSet(path=data, split="dev")], 0)[0]
    tuned = load_dense(str(config.output / "model"), TORCH)
    run = dense_run(
        dev.query_ids,
        tuned.encode_queries(dev.query_texts),
        dev.doc_ids,
        base.encode_documents(list(dev.documents())),
    )
    expected = values["sets"][0]["tuned"]["ndcg@10"]
    assert dev.evaluate(run).aggregate["ndcg@10"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("objective", ["margin-mse", "kl"])
def test_distillation_follows_the_teacher(bert, data, root, objective):
    mse = objective == "margin-mse"
    path = root / f"{objective}.jsonl"
    rows = [
        {
            "query": f"open account {i}",
            "pos": [f"the fee of account {i}"],
            "neg": [f"loan number {i}", "deposits are insured"],
            "pos_scores": [0.9],
            "neg_scores": [0.1, 0.2],
        }
        for i in range(16)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    config = dense_config(
        data,
        bert,
        root / f"run-{objective}",
        data={"train": [{"path": str(path)}]},
        training={"negatives": 2, "steps": 40, "learning_rate": 2e-2},
        merge={"scales": [1.0]},
        loss={"objective": objective, "scale": 1.0, "teacher_scale": 1.0 if mse else 10.0},
    )
    train_dense(config)
    found = losses(config)
    # Pieces differ from process to process, and with them how quickly so small a model learns.
    assert np.mean(found[-10:]) < 0.9 * np.mean(found[:3])


def test_training_ends_early_when_nothing_is_gained(data, bert, root):
    config = dense_config(
        data,
        bert,
        root / "early",
        training={"steps": 40, "learning_rate": 2e-4},
        evaluation={"every": 1, "patience": 2},
    )
    values = train_dense(config).values
    assert values["steps"] < 40


def test_two_processes_train_one_model(data, bert, root):
    from training.config import save_config

    config = dense_config(data, bert, root / "ddp", training={"batch_size": 4, "steps": 4})
    save_config(config, root / "ddp.toml")
    torchrun = Path(sys.executable).with_name("torchrun")
    tandem = Path(sys.executable).with_name("tandem")
    command = [str(torchrun), "--standalone", "--nproc-per-node=2", "--no-python", str(tandem)]
    command += ["train", "dense", str(root / "ddp.toml"), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=environment, check=False
    )
    assert found.returncode == 0, found.stderr[-3000:]
    values = json.loads(found.stdout)
    assert values["steps"] == 4
    assert values["gates"]["adapter_against_merged"] <= 1e-5
    assert [e["step"] for e in log_of(config) if "loss" in e] == [1, 2, 3, 4]


def log_of(config):
    return [json.loads(line) for line in (config.output / "log.jsonl").read_text().splitlines()]


def test_a_model_that_is_none_is_refused(data, root):
    write_json(root / "nothing" / "config.json", {})
    config = dense_config(data, root / "nothing", root / "nothing-run")
    with pytest.raises(TrainingError, match="model to start from cannot be read"):
        train_dense(config)


def test_targets_that_match_nothing_list_what_there_is(data, bert, root):
    config = dense_config(data, bert, root / "targets", adapter={"targets": ["q_proj"]})
    with pytest.raises(TrainingError, match=r"matches no layer.*query"):
        train_dense(config)
