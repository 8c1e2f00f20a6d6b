"""Models tuned on the query side alone: they search the documents of their base."""

import json
import shutil
from pathlib import Path

import pytest
from encoder_models import model_folder

from encoders.base import DenseEncoder, EncoderIdentity
from encoders.errors import EncoderError
from encoders.export.exporter import export_model
from encoders.model import QUERY_SIDE
from encoders.options import LoadOptions
from encoders.registry import load_dense, read_model
from opensearch.errors import EncoderMismatchError
from opensearch.index_info import check_encoder

TORCH = LoadOptions(runtime="torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> DenseEncoder:
    return load_dense(str(model_folder("bert-mean", tmp_path_factory.mktemp("base"))), TORCH)


@pytest.fixture(scope="module")
def tuned(base: DenseEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base with other weights, said to be for queries alone."""
    folder = tmp_path_factory.mktemp("tuned") / "model"
    shutil.copytree(base.identity.model, folder)
    from safetensors.torch import load_file, save_file

    weights = load_file(str(folder / "model.safetensors"))
    save_file({name: value * 1.25 for name, value in weights.items()}, folder / "model.safetensors")
    pair = {"documents": base.identity.as_dict()}
    (folder / QUERY_SIDE).write_text(json.dumps(pair), encoding="utf-8")
    return folder


def test_its_queries_search_the_documents_of_the_base(base: DenseEncoder, tuned: Path) -> None:
    identity = load_dense(str(tuned), TORCH).identity
    assert identity.fingerprint != base.identity.fingerprint
    assert identity.searches(base.identity)
    assert not base.identity.searches(identity)
    check_encoder(base.identity, identity, "docs")


def test_another_index_is_still_refused(tuned: Path) -> None:
    other = EncoderIdentity("dense", "other", "0" * 32, 32)
    with pytest.raises(EncoderMismatchError):
        check_encoder(other, load_dense(str(tuned), TORCH).identity, "docs")


def test_it_encodes_queries_only(tuned: Path) -> None:
    encoder = load_dense(str(tuned), TORCH)
    assert encoder.encode_queries(["fee"]).shape[0] == 1
    with pytest.raises(EncoderError, match="tuned for queries alone"):
        encoder.encode_documents(["fee"])


def test_an_export_remembers_it(base: DenseEncoder, tuned: Path, tmp_path: Path) -> None:
    export_model(read_model(str(tuned), LoadOptions(), "dense"), tmp_path)
    assert load_dense(str(tmp_path)).identity.searches(base.identity)


def test_identities_are_stored_and_read_back(tuned: Path) -> None:
    identity = load_dense(str(tuned), TORCH).identity
    assert EncoderIdentity(**identity.as_dict()) == identity


def test_a_file_that_says_nothing_is_refused(tuned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tuned, folder)
    (folder / QUERY_SIDE).write_text("{}", encoding="utf-8")
    with pytest.raises(EncoderError, match="whose documents"):
        load_dense(str(folder), TORCH)
