"""What people read of a sparse run: the curves and the model card."""

from typing import Any

from training.evaluation.significance import format_p
from training.run_folder import RunFolder, disk_faults, write_atomically
from training.sparse.config import SparseConfig

_LOSSES = ("loss", "info_nce", "distillation")


def write_curves(run: RunFolder) -> None:
    """Loss, active entries and dev metric against steps, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    log = run.read_log()
    steps = [entry for entry in log if "loss" in entry]
    measured = [entry for entry in log if "metric" in entry]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    losses, active, metric = figure.subplots(1, 3)
    for name in _LOSSES:
        points = [(entry["step"], entry[name]) for entry in steps if name in entry]
        if points:
            losses.plot(*zip(*points, strict=True), label=name)
    losses.set_title("training loss")
    losses.legend()
    active.plot([e["step"] for e in steps], [e["active"] for e in steps])
    active.set_title("active entries of a training document")
    metric.plot([e["step"] for e in measured], [e["metric"] for e in measured], marker="o")
    metric.set_title("dev metric")
    for axes in (losses, active, metric):
        axes.set_xlabel("step")
    with disk_faults(run.curves):
        figure.savefig(run.curves, dpi=110)


def write_card(run: RunFolder, config: SparseConfig, result: dict[str, Any]) -> None:
    """The model card: what it is, what it was trained on, what it reached."""
    found = result["comparisons"]
    rows = _rows(result["before"].get("dev", {}), result["after"].get("dev", {}), found)
    rows += _rows(result["floor_before"], result["floor_after"], found)
    data = "\n".join(
        f"- `{entry.path}` {entry.split or ''}".rstrip() for entry in config.data.train
    )
    synonyms = result["after"].get("synonyms")
    lines = [
        "---",
        "library_name: tandem-search",
        "tags: [sparse-retrieval, splade, opensearch]",
        f"base_model: {config.model}",
        "---",
        "# Sparse encoder",
        "",
        _what(config),
        "",
        f"Trained for {result['steps']} steps (best: {result['best_step']}) on "
        f"{result['records']:,} records, seed {result['seed']}; all settings are in `config.toml`. "
        f"{result['left_out']} records were left out because their query is an evaluation query.",
        "",
        "Training data:",
        "",
        data,
        "",
        "| set | NDCG@10 before | after | change | verdict | entries per document | per query "
        "| FLOPS |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Before is the untrained model; FLOPS is the expected number of shared entries. p values "
        "are of a paired randomisation test, corrected over the sets after Holm.",
    ]
    if synonyms:
        lines += ["", _synonym_line(synonyms)]
    lines += ["", "![Curves](curves.png)", ""]
    write_atomically(run.card, "\n".join(lines))


def _what(config: SparseConfig) -> str:
    if config.recipe == "sentence-encoder":
        return (
            f"A vocabulary head with a lexical prior on the sentence encoder `{config.model}`: a "
            "document's own pieces weigh like in BM25 times a learned gain, other words are added "
            "by meaning. Queries need no network: each piece weighs its IDF."
        )
    return (
        f"SPLADE on the masked language model `{config.model}`, {config.splade.query_side} queries."
    )


def _rows(before: dict[str, Any], after: dict[str, Any], comparisons: dict[str, Any]) -> list[str]:
    rows = []
    for name, entry in after.items():
        old, new = (found["metrics"]["ndcg@10"] for found in (before[name], entry))
        change = f"{100 * (new - old) / old:+.1f} %" if old else "–"
        found = comparisons[name]
        rows.append(
            f"| {name} | {old:.3f} | {new:.3f} | {change} ({format_p(found['p_holm'])}) "
            f"| {found['verdict']} | {entry['document_dims']:.0f} "
            f"| {entry['query_dims']:.1f} | {entry['flops']:.2f} |"
        )
    return rows


def _synonym_line(scores: dict[str, float]) -> str:
    return (
        f"Source preservation {scores['source_preservation']:.1%}, synonym activation "
        f"{scores['synonym_activation']:.1%}, combined {scores['combined']:.1f} of 200 over "
        f"{scores['anchors']} held-back anchors."
    )
