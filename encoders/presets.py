"""Models known by name; the data is in ``presets.toml``."""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from encoders.errors import EncoderError
from encoders.options import Activation, Pooling

DEFAULT_DENSE = "all-MiniLM-L6-v2"
DEFAULT_SPARSE = "lexical"


@dataclass(frozen=True, slots=True)
class Preset:
    """Where a model is and what it is for.

    Attributes:
        name: Short name, for the command line.
        kind: ``dense`` or ``sparse``.
        languages: Languages the model was made for.
        licence: Licence of the weights.
        dimension: Width of the vector, or size of the vocabulary.
        hub_id: Repository on the model hub.
        package: Installed Python package that carries the model, preferred over the hub.
        package_folder: Folder of the model inside the package.
        max_tokens: Longest input, from the model card.
        matryoshka: Whether the vector may be cut shorter.
        query_side: How a sparse model encodes queries.
        pooling: Only where the model's files do not say.
        activation: Only where the model's files do not say.
        query_prompt: Only where the model's files do not say.
        document_prompt: Only where the model's files do not say.
        trust_remote_code: Whether the model needs its own Python code.
        note: A sentence for people.
    """

    name: str
    kind: Literal["dense", "sparse"]
    languages: tuple[str, ...]
    licence: str
    dimension: int
    hub_id: str | None = None
    package: str | None = None
    package_folder: str = ""
    max_tokens: int | None = None
    matryoshka: bool = False
    query_side: Literal["bi-encoder", "inference-free"] | None = None
    pooling: Pooling | None = None
    activation: Activation | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_remote_code: bool = False
    note: str = ""


@cache
def all_presets() -> dict[str, Preset]:
    """Every preset by name."""
    path = Path(__file__).with_name("presets.toml")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: Preset(name=name, **{**entry, "languages": tuple(entry["languages"])})
        for name, entry in table.items()
    }


def find_preset(model: str) -> Preset | None:
    """The preset of a name or of a hub id, if there is one; case does not matter."""
    wanted = model.casefold()
    for preset in all_presets().values():
        if wanted in (preset.name.casefold(), (preset.hub_id or "").casefold()):
            return preset
    return None


def unknown_model(model: str, kind: Literal["dense", "sparse"] | None = None) -> EncoderError:
    """The error for a name that is neither preset nor folder nor hub id: lists what there is."""
    names = [name for name, preset in all_presets().items() if kind in (None, preset.kind)]
    near = difflib.get_close_matches(model, names, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(sorted(names))
    msg = (
        f"Unknown model {model!r}.{hint} Give a folder, a hub id (owner/name), a service "
        f"(openai:MODEL@URL, tei:URL, cohere:MODEL) or one of the presets: {listed}"
    )
    return EncoderError(msg)
