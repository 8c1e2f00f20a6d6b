"""The model card of a static run."""

from collections.abc import Mapping
from typing import Any

from training.run_folder import RunFolder, write_atomically

_KINDS = {
    "dense": "a table of token vectors and their weighted mean; a plain Sentence Transformers "
    "folder (StaticEmbedding and Normalize)",
    "sparse": "BM25 over its own tokens with learned weights, plus learned expansion; queries "
    "need a tokenizer and a table only",
}


def write_card(run: RunFolder, values: Mapping[str, Any]) -> None:
    """Write the card beside the run."""
    write_atomically(run.card, card_text(values))


def card_text(values: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    config = values["config"]
    name = str(config["output"]).rstrip("/").rsplit("/", 1)[-1]
    parts = [
        "---\ntags: [static-embedding, dense, sparse, retrieval, opensearch]\n---",
        f"# {name}",
        "Static encoders, trained on this corpus alone: no pretrained model, no network.",
        *(_leg(leg, values["baseline"]) for leg in values["legs"]),
        "## Training\n\n" + _data(config, values["left_out"]),
        "## Limits\n\nWords that are rare in the training data have vectors of little worth, and "
        "word order is not seen. Search words as well (hybrid), and measure on your own queries.",
    ]
    return "\n\n".join(parts) + "\n"


def _leg(leg: Mapping[str, Any], baseline: str) -> str:
    kind = leg["leg"]
    lines = [
        f"## {kind.capitalize()} model, `{kind}/`",
        "",
        f"{_KINDS[kind][0].upper()}{_KINDS[kind][1:]}. {leg['vocabulary']:,} tokens; weights of "
        f"step {leg['best_step']}{_strength(leg)}.",
        "",
        f"NDCG@10, exact search; the baseline is {baseline}. p is corrected for the sets."
        + (" Each set is measured with the IDF of its own corpus." if kind == "sparse" else ""),
        "",
        "| set | role | baseline | untrained | trained | change | p |"
        + (" entries |" if kind == "sparse" else ""),
        "|---|---|---|---|---|---|---|" + ("---|" if kind == "sparse" else ""),
        *(_row(entry, sparse=kind == "sparse") for entry in leg["sets"]),
        "",
        f"![Curves](training/{kind}/curves.png)",
    ]
    return "\n".join(lines)


def _strength(leg: Mapping[str, Any]) -> str:
    share = leg["strength"]
    return "" if share is None else f", {100 * share:.0f} % of what was learned (chosen on dev)"


def _row(entry: Mapping[str, Any], *, sparse: bool) -> str:
    base, trained = entry["base"]["ndcg@10"], entry["tuned"]["ndcg@10"]
    change = f"{100 * (trained / base - 1):+.1f} %" if base else "–"
    p = entry["comparison"].get("p_holm")
    cells = [
        entry["set"],
        entry["role"],
        f"{base:.3f}",
        f"{entry['untrained']:.3f}",
        f"{trained:.3f}",
        change,
        "–" if p is None else f"{p:.2g}",
    ]
    if sparse:
        cells.append(f"{entry['entries']:.0f}")
    return f"| {' | '.join(cells)} |"


def _data(config: Mapping[str, Any], left_out: int) -> str:
    sets = [f"- `{entry['path']}` {entry.get('split') or ''}" for entry in config["data"]["train"]]
    training = config["training"]
    return "\n".join(
        [
            *(line.rstrip() for line in sets),
            "",
            f"{training['steps']} steps of {training['batch_size']} queries for each model, seed "
            f"{training['seed']}; all settings are in `config.toml`. {left_out} records were left "
            "out because their query is an evaluation query.",
        ]
    )
