"""The model a run starts from: as Sentence Transformers trains it and as our encoders see it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.base import EncoderIdentity
from encoders.dense import TransformerDenseEncoder
from encoders.errors import EncoderError
from encoders.export.folder import is_export
from encoders.model import Model
from encoders.options import LoadOptions
from encoders.registry import read_model
from encoders.torch_runner import TorchRunner
from training.dense.config import AdapterSettings, DenseConfig
from training.errors import TrainingError

# Heads that Sentence Transformers never calls: they would get no gradient.
_UNUSED_HEADS = ("pooler", "lm_head", "classifier")


@dataclass(frozen=True)
class BaseModel:
    """A model's files and what they say.

    Attributes:
        name: Name under which it can be loaded again.
        model: Its settings, tokenizer and fingerprint.
        trust_remote_code: Whether code that ships with it may run.
    """

    name: str
    model: Model
    trust_remote_code: bool = False

    @classmethod
    def read(cls, config: DenseConfig) -> "BaseModel":
        """Find and read the files that a configuration names.

        Raises:
            TrainingError: There are none, or they cannot be trained.
        """
        if is_export(Path(config.model).expanduser()):
            msg = f"{config.model} is an exported ONNX model; train the model it was made from"
            raise TrainingError(msg)
        options = LoadOptions(
            query_prompt=config.query_prompt,
            document_prompt=config.document_prompt,
            trust_remote_code=config.trust_remote_code,
        )
        try:
            model = read_model(config.model, options, "dense")
        except EncoderError as error:
            msg = f"the model to start from cannot be read: {error}"
            raise TrainingError(msg) from error
        return cls(model.name, model, config.trust_remote_code)

    @property
    def identity(self) -> EncoderIdentity:
        """Which vectors it makes, as an index stores it."""
        return self.encoder(graph=None).identity

    def encoder(self, graph: Any | None = None) -> TransformerDenseEncoder:
        """Our encoder over the model's network, in PyTorch on the CPU.

        Args:
            graph: The network, if it was loaded already.
        """
        return TransformerDenseEncoder(self.model, TorchRunner(graph, "cpu"))

    def load_encoder(self) -> TransformerDenseEncoder:
        """Our encoder with the network loaded from the files."""
        return self.encoder(self.model.load_graph(trust_remote_code=self.trust_remote_code))

    def load(self) -> Any:
        """The model as a ``SentenceTransformer`` in float32, with its prompts by side.

        Raises:
            TrainingError: Sentence Transformers cannot load it.
        """
        return load_sentence_transformer(
            self.model.folder, self.prompts, trust_remote_code=self.trust_remote_code
        )

    @property
    def prompts(self) -> dict[str, str]:
        """What is put before queries and documents."""
        text = self.model.settings.text
        return {"query": text.query_prompt, "document": text.document_prompt}


def load_sentence_transformer(
    folder: Path, prompts: dict[str, str], *, trust_remote_code: bool = False
) -> Any:
    """A folder as a ``SentenceTransformer`` in float32.

    Models are often stored in half precision; training adds changes that those cannot hold.

    Raises:
        TrainingError: It cannot be loaded.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder),
            model_kwargs={"dtype": torch.float32},
            prompts=prompts,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
        )
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        msg = f"{folder} cannot be loaded for training: {error}"
        raise TrainingError(msg) from error
    return model


def prepare_weights(model: Any, settings: AdapterSettings, folder: Path) -> int:
    """Attach an adapter, or choose the weights that move.

    Args:
        model: A ``SentenceTransformer``; it is changed.
        settings: What moves.
        folder: Of the base model, which an adapter names.

    Returns:
        How many numbers are trained.

    Raises:
        TrainingError: No layer of the model matches.
    """
    if settings.method == "lora":
        _attach_adapter(model, settings, folder)
    else:
        _freeze(model, settings)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def linear_layers(network: Any) -> list[str]:
    """Names of all linear layers of a network, but for heads that are never called."""
    import torch

    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear)
        and not any(head in name.split(".") for head in _UNUSED_HEADS)
    ]


def layer_number(name: str) -> int | None:
    """Number of the block a parameter belongs to: ``encoder.layer.3.output`` is in block 3."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _attach_adapter(model: Any, settings: AdapterSettings, folder: Path) -> None:
    from peft import LoraConfig

    network = model.transformers_model
    targets = list(_targets(network, settings))
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="FEATURE_EXTRACTION",
    )
    model.add_adapter(config)
    for attached in network.peft_config.values():
        attached.base_model_name_or_path = str(folder)


def _targets(network: Any, settings: AdapterSettings) -> Iterator[str]:
    names = linear_layers(network)
    wanted = settings.targets
    if wanted != "all-linear":
        names = [name for name in names if any(_ends_in(name, ending) for ending in wanted)]
    if settings.last_layers is not None:
        kept = _last_blocks(names, settings.last_layers)
        names = [name for name in names if layer_number(name) in kept]
    if not names:
        there = sorted({name.rsplit(".", maxsplit=1)[-1] for name in linear_layers(network)})
        msg = (
            f"adapter.targets {wanted!r} matches no layer of the model; its linear layers are "
            f"called {', '.join(there)}. Or say targets = 'all-linear'."
        )
        raise TrainingError(msg)
    yield from names


def _ends_in(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def _last_blocks(names: list[str], count: int) -> set[int | None]:
    numbers = sorted({n for name in names if (n := layer_number(name)) is not None})
    return set(numbers[-count:])


def _freeze(model: Any, settings: AdapterSettings) -> None:
    network = model.transformers_model
    names = [name for name, _ in network.named_parameters()]
    kept = None
    if settings.last_layers is not None:
        kept = _last_blocks(names, settings.last_layers)
    for name, parameter in network.named_parameters():
        unused = any(head in name.split(".") for head in _UNUSED_HEADS)
        parameter.requires_grad_(not unused and (kept is None or layer_number(name) in kept))
