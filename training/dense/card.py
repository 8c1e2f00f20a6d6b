"""The model card: what was trained on what, how, and what came of it."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from training.comparing import SetComparison, markdown_table
from training.run_folder import RunFolder, write_atomically


def write_card(
    run: RunFolder, values: Mapping[str, Any], comparisons: Sequence[SetComparison]
) -> None:
    """Write the card beside the run, and into the model's folder with its picture.

    Args:
        run: The run's folder.
        values: Content of ``result.json``.
        comparisons: Base and tuned model on every set.
    """
    write_atomically(run.card, card_text(values, comparisons))
    for name in (run.card, run.curves):
        if run.model.is_dir() and name.is_file():
            shutil.copyfile(name, run.model / name.name)


def card_text(values: Mapping[str, Any], comparisons: Sequence[SetComparison]) -> str:
    """The card as Markdown."""
    config = values["config"]
    parts = [
        _front_matter(values),
        f"# {config['output'].rstrip('/').rsplit('/', 1)[-1]}",
        _summary(values),
        "## Results\n\n" + markdown_table(comparisons),
        _reading_help(values),
        "## Training\n\n![Loss, learning rate and dev metric](curves.png)",
        _data(config),
        _parameters(values),
        _merge(values),
        "## Limits\n\n"
        "The figures hold for the sets above; measure on your own before you switch. Dense "
        "vectors tell exact values such as amounts and dates apart badly: search words as well.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(values: Mapping[str, Any]) -> str:
    fields = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "base_model": values["base"]["model"],
        "tags": ["sentence-transformers", "dense", "retrieval"],
    }
    return f"---\n{yaml.safe_dump(fields, sort_keys=False).strip()}\n---"


def _summary(values: Mapping[str, Any]) -> str:
    config = values["config"]
    method = "a LoRA adapter, merged" if config["adapter"]["method"] == "lora" else "all weights"
    text = (
        f"`{values['base']['model']}` tuned for retrieval ({method}). Vectors have "
        f"{values['model']['dimension']} components, unit length; similarity is the cosine.\n\n"
        f"**Finding:** {values['verdict']}."
    )
    if values["query_only"]:
        text += (
            "\n\n**Queries only.** Documents are encoded by the base model (fingerprint "
            f"`{values['base']['fingerprint']}`): an index of its vectors stays as it is."
        )
    return text


def _reading_help(values: Mapping[str, Any]) -> str:
    return (
        "p values are of a paired randomisation test, corrected over the sets after Holm. A floor "
        "set was not trained for: it shows what the tuning costs elsewhere."
    )


def _data(config: Mapping[str, Any]) -> str:
    lines = []
    for source in config["data"]["train"]:
        split = f", split {source['split']}" if source.get("split") else ""
        share = f", {source['weight']:g} of the batches" if source.get("weight") else ""
        name = source["path"].rstrip("/").rsplit("/", 1)[-1]
        lines.append(f"- {name}{split}{share}")
    return "Trained on:\n\n" + "\n".join(lines)


def _parameters(values: Mapping[str, Any]) -> str:
    config = values["config"]
    rows = {
        **{f"adapter.{k}": v for k, v in config["adapter"].items()},
        **{f"loss.{k}": v for k, v in config["loss"].items()},
        **{f"training.{k}": v for k, v in config["training"].items()},
        "steps done": values["steps"],
        "best step": values["best_step"],
        "seconds per step": values["seconds_per_step"],
        "computed in": values["precision"],
        **values["libraries"],
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(["| parameter | value |", "|---|---|", *lines])


def _merge(values: Mapping[str, Any]) -> str:
    merge = values["merge"]
    names = list(merge["measured"][0]["floor"])
    head = ["scale w", "mean dev NDCG@10", *(f"{name}: change" for name in names)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in merge["measured"]:
        floor = [f"{100 * row['floor'][name]:+.1f} %" for name in names]
        chosen = " (chosen)" if row["scale"] == merge["scale"] else ""
        cells = [f"{row['scale']:g}{chosen}", f"{row['dev']:.4f}", *floor]
        lines.append(f"| {' | '.join(cells)} |")
    text = "The weights are base + w · change:\n\n" + "\n".join(lines)
    if not merge["keeps_floor"]:
        text += "\n\nNo w keeps the floor sets within the bounds; the smallest was taken."
    return text
