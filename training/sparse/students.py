"""From a configuration to a student, ready to be trained."""

from pathlib import Path
from typing import Any

from encoders.options import LoadOptions
from encoders.prior import BACKBONE, is_prior, read_prior, write_prior
from encoders.prior_build import PriorOptions, build_prior, prior_statistics, vocabulary_tokens
from encoders.registry import read_model
from training.run_folder import replacing_folder
from training.sparse.config import SparseConfig
from training.sparse.prior_student import PriorStudent
from training.sparse.sources import corpus_texts


def build_student(config: SparseConfig, start: Path) -> Any:
    """The untrained student.

    Args:
        config: The resolved configuration.
        start: Folder for the untrained model; taken as it is where it is there already.

    Raises:
        EncoderError: The model cannot be loaded.
    """
    device = choose_device(config.training.device)
    if config.recipe == "splade":
        from training.sparse.splade_student import build_splade

        student: Any = build_splade(config, start, device)
    else:
        if not is_prior(start):
            with replacing_folder(start) as folder:
                _write_start(config, folder)
        max_tokens = config.training.max_tokens
        student = PriorStudent.load(start, device=device, max_tokens=max_tokens)
    if config.training.dropout is not None:
        _set_dropout(student.module(), config.training.dropout)
    return student


def choose_device(wanted: str) -> str:
    """A CUDA device where there is one, unless another is asked for."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def saved_copy(student: Any, target: Path) -> None:
    """Write a student's model folder whole or not at all."""
    with replacing_folder(target) as folder:
        student.save(folder)


def adapt_to_corpus(folder: Path, config: SparseConfig, target: Path) -> None:
    """A trained model folder with the query weights of the configuration's corpus."""
    import shutil

    head = read_prior(folder)
    model = read_model(str(folder), LoadOptions(), "sparse")
    statistics = prior_statistics(model, corpus_texts(config.data), head.settings.max_tokens)
    shutil.copytree(folder / BACKBONE, target / BACKBONE, dirs_exist_ok=True)
    write_prior(target, head.adapted(statistics), vocabulary_tokens(model, head.vocabulary))


def _write_start(config: SparseConfig, folder: Path) -> None:
    given = Path(config.model).expanduser()
    if is_prior(given):
        adapt_to_corpus(given, config, folder)
        return
    options = LoadOptions(trust_remote_code=config.trust_remote_code)
    model = read_model(config.model, options, "dense")
    head = PriorOptions(
        expansion_rank=config.head.expansion_rank,
        gamma=config.head.gamma,
        top_k=config.head.top_k,
        max_tokens=config.head.max_tokens,
        corpus_words=config.head.words == "corpus",
    )
    build_prior(model, corpus_texts(config.data), folder, head)


def _set_dropout(module: Any, share: float) -> None:
    """One probability for all dropout, that inside attention included."""
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = share
        elif hasattr(part, "attention_dropout") and isinstance(part.attention_dropout, float):
            part.attention_dropout = share
        elif hasattr(part, "dropout_prob") and isinstance(part.dropout_prob, float):
            part.dropout_prob = share
