"""Precision, order of batches, curves: the parts that need no model."""

import random
from collections import Counter

import numpy as np

from training.comparing import compare_sets, markdown_table
from training.curves import draw_curves
from training.dense.fitting import total_steps
from training.dense.sampling import weighted_batches
from training.evaluation.metrics import evaluate_run
from training.precision import choose_precision, computes_in_bf16


def test_bf16_is_not_used_where_it_is_emulated(monkeypatch):
    monkeypatch.setattr("training.precision.computes_in_bf16", lambda: (False, "this processor"))
    for wanted in ("auto", "bf16"):
        found = choose_precision(wanted)
        assert not found.bf16
        assert "does not compute in bfloat16" in found.note
    assert "was asked for" in choose_precision("bf16").note


def test_bf16_is_used_where_it_is_native(monkeypatch):
    monkeypatch.setattr("training.precision.computes_in_bf16", lambda: (True, "a GPU"))
    assert choose_precision("auto").bf16
    assert not choose_precision("fp32").bf16


def test_the_device_is_asked():
    native, name = computes_in_bf16()
    assert isinstance(native, bool)
    assert name


def batches(weights, sizes=(40, 10), epoch=0, count=None):
    import torch
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import ConcatDataset, RandomSampler, TensorDataset

    sets = [TensorDataset(torch.arange(size)) for size in sizes]
    samplers = [DefaultBatchSampler(RandomSampler(s), batch_size=5, drop_last=False) for s in sets]
    sampler = weighted_batches(weights)(
        dataset=ConcatDataset(sets), batch_samplers=samplers, generator=None, seed=1
    )
    sampler.set_epoch(epoch)
    return list(sampler), len(sampler)


def test_batches_are_mixed_by_weight_and_each_is_of_one_set():
    found, length = batches([0.2, 0.8], sizes=(1000, 1000))
    assert len(found) == length == 400
    of = Counter(batch[0] >= 1000 for batch in found)
    assert all(len({index >= 1000 for index in batch}) == 1 for batch in found)
    assert 0.7 < of[True] / length < 0.9


def test_a_small_set_begins_again():
    found, _ = batches([0.1, 0.9], sizes=(40, 10))
    second = [index for batch in found for index in batch if index >= 40]
    assert len(second) > 10
    counts = Counter(second).values()
    assert len(counts) == 10
    assert max(counts) - min(counts) <= 1  # a pass ends before the next one begins


def test_the_order_depends_on_seed_and_epoch_only():
    of = [[batch[0] >= 40 for batch in batches([0.5, 0.5], epoch=e)[0]] for e in (0, 0, 1)]
    assert of[0] == of[1] != of[2]


def test_steps_of_a_run():
    class Config:
        class training:
            steps, epochs, batch_size = None, 1.5, 8

    assert total_steps(Config, 100, 1) == 20
    assert total_steps(Config, 100, 2) == 11
    Config.training.steps = 7
    assert total_steps(Config, 100, 1) == 7


def test_curves_are_a_picture_even_of_a_short_log():
    log = [{"step": 1, "loss": 2.0, "learning_rate": 1e-4}, {"step": 1, "dev": 0.5}]
    for entries, base in ((log, 0.4), ([], None)):
        assert draw_curves(entries, base_dev=base, title="x → y").startswith(b"\x89PNG")


def evaluated(seed, shift):
    rng = random.Random(seed)
    qrels = {f"q{i}": {"a": 1} for i in range(60)}
    run = {}
    for query in qrels:
        place = max(0, int(rng.random() * 8 - shift))
        run[query] = dict.fromkeys([*"bcdefghij"[:place], "a"], 1.0)
    return evaluate_run(run, qrels)


def test_a_table_says_what_is_within_noise():
    base = {"x/dev": evaluated(1, 0), "y/test": evaluated(2, 0)}
    tuned = {"x/dev": evaluated(1, 3), "y/test": base["y/test"]}
    found = compare_sets({"x/dev": "dev", "y/test": "floor"}, base, tuned)
    table = markdown_table(found)
    assert "| x/dev | dev | 60 |" in table
    assert "| better |" in table
    assert "| no difference |" in table
    assert found[0].ndcg.p_holm >= found[0].ndcg.p_randomisation
    assert np.isclose(found[0].as_dict()["comparison"]["p_holm"], found[0].ndcg.p_holm, rtol=1e-3)
