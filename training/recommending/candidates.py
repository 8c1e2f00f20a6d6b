"""The models that can be recommended, and what is known about them."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeAlias

from encoders.presets import all_presets

Kind: TypeAlias = Literal["dense", "sparse", "static"]
MULTILINGUAL = "multilingual"
STATIC = "static"
_GIGA = 1e9
_TRAINERS = {
    "dense": "tandem train dense (LoRA or all weights)",
    "head": "tandem train sparse (a vocabulary head on it)",
    "splade": "tandem train sparse (recipe = 'splade')",
    "static": "tandem train static",
}


@dataclass(frozen=True)
class Candidate:
    """A model that can be recommended.

    Attributes:
        name: Short name.
        model: What ``--dense`` or ``--sparse`` takes; None for what you train first.
        kind: What it gives.
        languages: Languages it was made for, or ``multilingual``.
        licence: Of the weights.
        uses: What the decision table names it for.
        why: What it is good for, in words.
        dimension: Components of a vector, or size of the vocabulary.
        max_tokens: Longest text.
        parameters: Millions of weights.
        computed: Millions of weights a text passes through.
        inference_free: Whether queries need no network.
        service: Whether it is called over HTTP only.
        train: How Tandem can tune it.
        code: Whether it ships Python code of its own.
    """

    name: str
    model: str | None
    kind: Kind
    languages: tuple[str, ...]
    licence: str
    uses: tuple[str, ...]
    why: str
    dimension: int | None = None
    max_tokens: int | None = None
    parameters: float | None = None
    computed: float | None = None
    inference_free: bool = False
    service: bool = False
    train: tuple[str, ...] = ()
    code: bool = False

    def knows(self, language: str) -> bool:
        """Whether it was made for a language."""
        return MULTILINGUAL in self.languages or language in self.languages

    @property
    def half_gigabytes(self) -> float | None:
        """Size of the weights in float16, in GB."""
        return None if self.parameters is None else self.parameters * 1e6 * 2 / _GIGA

    @property
    def tunable(self) -> bool:
        """Whether Tandem can train it."""
        return bool(self.train)

    def training(self) -> str:
        """How Tandem can train it, in words."""
        if self.service:
            return "not tunable: a service does not give its weights away"
        if self.train:
            return " or ".join(_TRAINERS[name] for name in self.train)
        if self.code:
            return "not by a tested recipe: it needs --trust-remote-code"
        return "nothing to train: statistics of your corpus"

    def exporting(self) -> str:
        """Whether ``tandem export`` can write it, in words."""
        fitted = self.kind == "sparse" and self.parameters is None and not self.code
        if self.service or fitted:
            return "no"
        return "with --trust-remote-code, not tested" if self.code else "yes"

    def as_dict(self) -> dict[str, Any]:
        """What is known, as JSON-ready values."""
        return {
            "name": self.name,
            "model": self.model,
            "kind": self.kind,
            "languages": list(self.languages),
            "licence": self.licence,
            "dimension": self.dimension,
            "max_tokens": self.max_tokens,
            "parameters_millions": self.parameters,
            "weights_float16_gb": self.half_gigabytes,
            "queries_without_network": self.inference_free,
            "service": self.service,
            "tunable": self.tunable,
            "training": self.training(),
            "export": self.exporting(),
        }


@cache
def candidates() -> tuple[Candidate, ...]:
    """All candidates, in the order of recommendation."""
    source = resources.files("training.recommending").joinpath("models.toml")
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    return tuple(_candidate(entry) for entry in table["models"])


def _candidate(entry: dict[str, Any]) -> Candidate:
    values = {**_of_preset(entry["preset"]), **entry} if "preset" in entry else entry
    known = {key: values[key] for key in Candidate.__dataclass_fields__ if key in values}
    for key in ("languages", "uses", "train"):
        known[key] = tuple(values.get(key, ()))
    return Candidate(**{"model": None, **known})


def _of_preset(name: str) -> dict[str, Any]:
    preset = all_presets()[name]
    return {
        "name": preset.name,
        "model": preset.name,
        "kind": preset.kind,
        "languages": preset.languages,
        "licence": preset.licence,
        "dimension": preset.dimension,
        "max_tokens": preset.max_tokens,
        "inference_free": preset.query_side == "inference-free",
        "code": preset.trust_remote_code,
    }
