"""Adapter and merged model: made, scaled, checked against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from training.dense.base_model import BaseModel, load_sentence_transformer
from training.dense.config import MergeSettings
from training.errors import TrainingError

ADAPTER_CONFIG = "adapter_config.json"
SAME = 1e-5
CHANGED = 1e-5


class GateError(TrainingError):
    """A check that every run passes by itself has failed: the result would be worthless."""


@dataclass(frozen=True)
class Weights:
    """The weights before and after training, on the CPU.

    Attributes:
        base: Name -> tensor of the base model.
        tuned: The same after training, adapter merged.
    """

    base: Mapping[str, Any]
    tuned: Mapping[str, Any]

    def put(self, model: Any, scale: float) -> None:
        """Set a model's weights to base + scale * change."""
        state = {}
        for name, before in self.base.items():
            after = self.tuned[name]
            state[name] = before + scale * (after - before) if _moves(before, after) else before
        model.load_state_dict(state)

    def change(self) -> float:
        """Largest absolute change of a weight."""
        moved = [
            float((self.tuned[name] - before).abs().max())
            for name, before in self.base.items()
            if _moves(before, self.tuned[name])
        ]
        return max(moved, default=0.0)


def load_checkpoint(base: BaseModel, checkpoint: Path) -> Any:
    """The trained model of a checkpoint, its adapter attached, not merged."""
    return load_sentence_transformer(
        checkpoint, base.prompts, trust_remote_code=base.trust_remote_code
    )


def read_weights(base: BaseModel, checkpoint: Path) -> Weights:
    """Weights before and after training."""
    before = _state(base.load())
    if not (checkpoint / ADAPTER_CONFIG).is_file():
        return Weights(before, _state(load_checkpoint(base, checkpoint)))
    return Weights(before, _state(merge_adapter(base.load(), checkpoint)))


def merge_adapter(model: Any, adapter: Path) -> Any:
    """Add an adapter's change to a model's weights; what is left is a plain model."""
    from peft import PeftModel

    merged = PeftModel.from_pretrained(model.transformers_model, str(adapter)).merge_and_unload()
    model[0].model = merged
    return model


def check_changed(before: FloatMatrix, after: FloatMatrix) -> float:
    """The first gate: training must have changed what the model says.

    Returns:
        Largest difference of a component.

    Raises:
        GateError: The same vectors come out.
    """
    difference = float(np.abs(before - after).max())
    if not difference > CHANGED:
        msg = (
            f"training changed nothing: vectors before and after differ by {difference:.1e}. Is "
            "the learning rate 0, or do adapter.targets name layers that are not used?"
        )
        raise GateError(msg)
    return difference


def check_merged(adapter: FloatMatrix, merged: FloatMatrix) -> float:
    """The second gate: adapter and merged model must give the same vectors.

    Returns:
        Largest difference of a component.

    Raises:
        GateError: They do not.
    """
    difference = float(np.abs(adapter - merged).max())
    if not difference <= SAME:
        msg = (
            f"the merged model differs from base and adapter by {difference:.1e}; at most {SAME} "
            "is rounding. Nothing was written."
        )
        raise GateError(msg)
    return difference


@dataclass(frozen=True, slots=True)
class Choice:
    """Which share of the change was taken, and why.

    Attributes:
        scale: The share w.
        dev: Scale -> mean NDCG@10 over the dev sets.
        floor_changes: Scale -> floor set -> relative change of NDCG@10 against the base.
        keeps_floor: Whether the chosen one keeps the bounds.
    """

    scale: float
    dev: Mapping[float, float]
    floor_changes: Mapping[float, Mapping[str, float]]
    keeps_floor: bool

    def as_dict(self) -> dict[str, Any]:
        """The choice as JSON-ready values."""
        return {
            "scale": self.scale,
            "keeps_floor": self.keeps_floor,
            "measured": [
                {
                    "scale": scale,
                    "dev": round(self.dev[scale], 6),
                    "floor": {n: round(c, 6) for n, c in self.floor_changes[scale].items()},
                }
                for scale in self.dev
            ],
        }


def choose_scale(
    dev: Mapping[float, float],
    floor_changes: Mapping[float, Mapping[str, float]],
    settings: MergeSettings,
) -> Choice:
    """The scale with the best mean dev NDCG@10 among those that keep the floor.

    Where none does, the smallest one is taken, and the result says so.
    """
    keeping = [s for s in dev if keeps_floor(list(floor_changes[s].values()), settings)]
    if keeping:
        best = max(keeping, key=lambda scale: (dev[scale], -scale))
        return Choice(best, dev, floor_changes, keeps_floor=True)
    return Choice(min(dev), dev, floor_changes, keeps_floor=False)


def keeps_floor(changes: Sequence[float], settings: MergeSettings) -> bool:
    """Whether relative changes on floor sets stay within the bounds, on average and each."""
    if not changes:
        return True
    average = sum(changes) / len(changes)
    return average >= -settings.max_mean_floor_loss and min(changes) >= -settings.max_floor_loss


def scale_adapter(model: Any, scale: float) -> None:
    """Make an attached adapter's change ``scale`` times as large, for good."""
    network = model.transformers_model
    for config in network.peft_config.values():
        config.lora_alpha *= scale
        # Layers that had an alpha of their own keep its proportion.
        config.alpha_pattern = {k: v * scale for k, v in config.alpha_pattern.items()}
    for module in network.modules():
        if hasattr(module, "lora_B") and hasattr(module, "scaling"):
            for name in module.scaling:
                module.scaling[name] *= scale


def _state(model: Any) -> dict[str, Any]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _moves(before: Any, after: Any) -> bool:
    return bool(before.is_floating_point()) and before.data_ptr() != after.data_ptr()
