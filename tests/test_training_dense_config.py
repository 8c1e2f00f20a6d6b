import pytest

from training.config import ConfigError, check_values, load_config, preset_names
from training.dense.config import DenseConfig

DATA = {"train": [{"path": "a.jsonl"}], "dev": [{"path": "dev"}]}


def config(**sections):
    return check_values({"data": DATA, **sections}, DenseConfig, source="test")


def test_little_has_to_be_said():
    assert config().model == "all-MiniLM-L6-v2"
    assert config().adapter.method == "lora"


def test_a_dev_set_is_needed():
    with pytest.raises(ConfigError, match=r"data\.dev: name at least one set"):
        check_values({"data": {"train": DATA["train"]}}, DenseConfig, source="test")


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"training": {"negatives": 0}, "loss": {"objective": "kl"}}, "must be >= 1"),
        ({"loss": {"objective": "kl", "false_negatives": {}}}, "contrastive objective only"),
        ({"adapter": {"side": "query"}, "loss": {"objective": "kl"}}, "plain contrastive"),
        ({"adapter": {"side": "query"}, "loss": {"matryoshka": [8]}}, "plain contrastive"),
        ({"merge": {"scales": [0.0, 1.0]}}, "above 0 and not above 1"),
        ({"adapter": {"method": "dora"}}, "'lora' or 'full'"),
        ({"training": {"batch_size": 1}}, "greater than or equal to 2"),
    ],
)
def test_what_does_not_fit_together_is_refused(sections, part):
    with pytest.raises(ConfigError, match=part):
        config(**sections)


@pytest.mark.parametrize("name", preset_names("dense-"))
def test_every_recipe_fits(name):
    overrides = ['data.train=[{path="a"}]', 'data.dev=[{path="b"}]']
    assert load_config(None, DenseConfig, preset=name, overrides=overrides).data.dev


def test_the_second_recipe_is_the_published_one():
    overrides = ['data.train=[{path="a"}]', 'data.dev=[{path="b"}]']
    found = load_config(None, DenseConfig, preset="dense-moai-v2", overrides=overrides)
    assert (found.adapter.rank, found.adapter.alpha, found.adapter.dropout) == (64, 128, 0.05)
    assert found.adapter.targets == (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )
    training = found.training
    assert (training.learning_rate, training.warmup, training.epochs) == (1e-4, 0.1, 3)
    assert (training.batch_size, training.max_tokens) == (256, 1024)
    assert training.gradient_checkpointing
