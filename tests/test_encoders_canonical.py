"""all-MiniLM-L6-v2 against values of plain sentence-transformers 6.2 (PyTorch, CPU)."""

import os
import subprocess
import sys

import numpy as np
import pytest

from encoders.options import LoadOptions, Runtime
from encoders.registry import DEFAULT_DENSE, load_dense

CANONICAL = {
    "hello world": [
        -0.034477,
        0.031023,
        0.006735,
        0.026109,
        -0.039362,
        -0.160302,
        0.066924,
        -0.006441,
        -0.047451,
        0.014759,
    ],
    "What is the annual fee of the card?": [
        0.067353,
        0.065234,
        -0.046278,
        0.027442,
        -0.021812,
        -0.029938,
        0.029652,
        0.017284,
        0.057259,
        -0.038116,
    ],
    # Longer than 256 tokens: cut where the model's own files say.
    ("interest rate risk " * 200).strip(): [
        -0.010157,
        -0.006286,
        -0.05102,
        -0.052012,
        0.045572,
        0.033872,
        -0.009929,
        0.069023,
        0.026495,
        0.006979,
    ],
}


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_minilm_gives_the_canonical_values(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = load_dense(DEFAULT_DENSE, LoadOptions(runtime=runtime))
    found = encoder.encode_documents(list(CANONICAL))
    assert found.shape == (len(CANONICAL), 384)
    np.testing.assert_allclose(found[:, :10], list(CANONICAL.values()), atol=2e-5)


def test_minilm_tells_meaning_apart() -> None:
    encoder = load_dense()
    query = encoder.encode_queries(["What does the card cost per year?"])
    documents = encoder.encode_documents(
        ["The annual fee is 30 euros.", "Our branch opens at nine.", "The exchange rate is fixed."]
    )
    assert int((documents @ query.T).argmax()) == 0


def test_the_default_encoder_loads_without_torch() -> None:
    load_dense()  # exports on the first run, which needs torch
    code = (
        "import sys; from encoders.registry import load_dense; "
        "e = load_dense(); v = e.encode_queries(['hello']); e.knows(['x']); "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
