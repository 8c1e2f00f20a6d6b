"""Each packaged recipe on a tiny model of its true architecture."""

import json

import numpy as np
import pytest
from encoder_models import model_folder
from training_dense_samples import write_set

from encoders.export.exporter import export_model
from encoders.model import read_source_model
from encoders.options import LoadOptions
from encoders.registry import load_dense
from encoders.source import find_source
from training.config import load_config, preset_names
from training.dense.config import DenseConfig
from training.dense.run import train_dense

ARCHITECTURES = {"minilm": "bert-mean", "bge": "bert-mean"}  # the others are Qwen3
STEPS = 14


def names():
    return preset_names("dense-")


def test_there_is_a_recipe_for_each_purpose():
    assert {"dense-moai-v1", "dense-moai-v2", "dense-lca", "dense-bge", "dense-minilm"} <= set(
        names()
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("presets")


@pytest.fixture(scope="module")
def data(root):
    return write_set(root / "data")


@pytest.mark.parametrize("name", names())
def test_a_recipe_learns_merges_and_exports(name, data, root):
    short = name.removeprefix("dense-")
    model = model_folder(ARCHITECTURES.get(short, "qwen3-lasttoken"), root)
    sets = {s: f'[{{path = "{data}", split = "{s}"}}]' for s in ("train", "dev", "floor")}
    config = load_config(
        None,
        DenseConfig,
        preset=name,
        overrides=[
            f"model={model}",
            f"output={root / name}",
            f"training.steps={STEPS}",
            "training.batch_size=8",  # the tiny set has 24 records
            "training.mini_batch_size=4",
            "training.learning_rate=1e-2",  # random weights, a few steps
            f"evaluation.every={STEPS}",
            "merge.scales=[1.0]",
            *(f"data.{key}={value}" for key, value in sets.items()),
        ],
    )
    values = train_dense(config).values
    lines = (config.output / "log.jsonl").read_text().splitlines()
    losses = [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]
    assert len(losses) == STEPS
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:2])
    assert values["gates"]["adapter_against_merged"] <= 1e-5
    _check_export(config.output / "model", root / f"{name}-onnx")


def _check_export(model, folder):
    """The exporter checks parity itself; texts must come out alike as well."""
    source = read_source_model(find_source(str(model), LoadOptions()), LoadOptions(), "dense")
    folder.mkdir()
    export_model(source, folder)
    texts = ["the fee of a card", "open a savings account on the day of the loan"]
    exported = load_dense(str(folder)).encode_queries(texts)
    original = load_dense(str(model), LoadOptions(runtime="torch")).encode_queries(texts)
    assert np.abs(exported - original).max() < 1e-4
