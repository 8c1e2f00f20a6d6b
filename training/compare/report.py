"""A comparison as tables and Markdown."""

from collections.abc import Iterable, Sequence

from training.compare.moves import Move, Moves, shown_rank
from training.compare.outcome import METRICS, Outcome, SetOutcome
from training.compare.tables import Table
from training.evaluation.metrics import LABELS, PRIMARY
from training.evaluation.significance import Comparison, format_p, percent

_NONE = "–"


def metric_table(outcome: Outcome, entry: SetOutcome) -> Table:
    """Systems as rows: metrics, gain over the baseline, what token weights cost."""
    sparse = any(found.sparsity for found in entry.measured.values())
    headers = ["system", *(LABELS[m] for m in METRICS), f"vs {outcome.baseline}", "verdict"]
    rows = []
    for system in outcome.systems:
        found = entry.measured[system.label]
        cells = [system.label, *(f"{found.evaluated.aggregate[m]:.4f}" for m in METRICS)]
        cells += _gain(entry.comparisons.get(system.label, {}).get(PRIMARY))
        if sparse:
            cells += _sparsity(entry, system.label)
        rows.append(tuple(cells))
    if sparse:
        headers += ["entries/doc", "entries/query", "FLOPS"]
    return Table(tuple(headers), tuple(rows))


def significance_table(outcome: Outcome, entry: SetOutcome) -> Table:
    """Every comparison: difference, interval, p values, wins and losses, verdict."""
    headers = ("system", "metric", "difference", "95 % interval", "wins/ties/losses", "p", "Holm p")
    rows = [
        (
            system.label,
            LABELS[metric],
            f"{c.difference:+.4f}",
            f"{c.ci_low:+.4f} … {c.ci_high:+.4f}",
            f"{c.wins}/{c.ties}/{c.losses}",
            _p(c.p_randomisation),
            _p(c.p_holm),
            c.verdict(),
        )
        for system in outcome.others
        for metric, c in entry.comparisons[system.label].items()
    ]
    return Table((*headers, "verdict"), tuple(rows), words=2)


def plain_report(outcome: Outcome, moves: Sequence[Moves]) -> str:
    """Tables, findings and examples for a terminal."""
    blocks = []
    for entry in outcome.sets:
        size = f"{len(entry.dev_set.judged)} queries, {len(entry.dev_set.doc_ids)} documents"
        blocks.append(f"{entry.name} ({size})\n{metric_table(outcome, entry).plain()}")
    blocks.append("\n".join(outcome.sentences()))
    blocks += [_plain_moves(found) for found in moves if found.up or found.down]
    return "\n\n".join(block for block in blocks if block)


def markdown_report(outcome: Outcome, moves: Sequence[Moves]) -> str:
    """The whole report in Markdown; the plots lie beside it."""
    lines = [f"# {title(outcome)}", "", *(f"- {text}" for text in outcome.sentences()), ""]
    if outcome.warnings:
        lines += ["## Before you believe these numbers", ""]
        lines += [*(f"- {text}" for text in outcome.warnings), ""]
    for entry in outcome.sets:
        lines += [f"## {entry.name}", "", _size(entry), ""]
        lines += [metric_table(outcome, entry).markdown(), ""]
        if outcome.others:
            lines += [significance_table(outcome, entry).markdown(), ""]
        for found in moves:
            if found.set_name == entry.name:
                lines += _markdown_moves(found)
    if outcome.learning:
        lines += ["## Train loss against dev metric", "", "![Curves](curves.png)", ""]
    return "\n".join([*lines, legend(outcome), ""])


def title(outcome: Outcome) -> str:
    """What was compared."""
    names = ", ".join(s.label for s in outcome.systems)
    count = len(outcome.sets)
    return f"{names} on {count} set{'s' if count > 1 else ''}"


def legend(outcome: Outcome) -> str:
    """How the figures were made."""
    return (
        f"Exact search over all documents, 100 hits a query. Gains are against {outcome.baseline}; "
        "p is of a paired randomisation test, corrected after Holm over all systems and sets of a "
        "metric; from .05 on a difference is called within noise. FLOPS is the expected number of "
        "entries that a query and a document share."
    )


def _size(entry: SetOutcome) -> str:
    judged, documents = len(entry.dev_set.judged), len(entry.dev_set.doc_ids)
    return f"{judged:,} judged queries, {documents:,} documents."


def _gain(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["baseline", ""]
    relative = comparison.relative
    change = f"{comparison.difference:+.4f}" if relative is None else percent(relative)
    return [f"{change} ({format_p(comparison.p_holm)})", comparison.verdict()]


def _sparsity(entry: SetOutcome, label: str) -> list[str]:
    found = entry.measured[label].sparsity
    if found is None:
        return [_NONE] * 3
    return [f"{found.document_dims:.1f}", f"{found.query_dims:.1f}", f"{found.flops:.2f}"]


def _p(p: float) -> str:
    return format_p(p).removeprefix("p ").removeprefix("= ")


def _plain_moves(found: Moves) -> str:
    lines = [f"{found.set_name}, {found.label}: queries whose first relevant document moved most"]
    for sign, moves in (("+", found.up), ("-", found.down)):
        for move in moves:
            lines.append(f"  {sign} {_ranks(move)}  “{move.query}”")
            lines += [f"      {line}" for line in _details(found, move)]
    return "\n".join(lines)


def _markdown_moves(found: Moves) -> list[str]:
    lines = []
    for name, moves in (("Gains", found.up), ("Losses", found.down)):
        if moves:
            lines += [f"### {name} of {found.label}", ""]
        for move in moves:
            lines.append(f"- “{_inline(move.query)}”: rank {_ranks(move)}")
            lines += [f"    - {_inline(line)}" for line in _details(found, move)]
        if moves:
            lines.append("")
    return lines


def _ranks(move: Move) -> str:
    return f"{shown_rank(move.before)} → {shown_rank(move.after)}"


def _details(found: Moves, move: Move) -> Iterable[str]:
    yield f"relevant: {_document(found, move.document)}"
    for when, doc_id in (("before", move.first_before), ("after", move.first_after)):
        if doc_id is not None and doc_id != move.document:
            yield f"first {when}: {_document(found, doc_id)}"


def _document(found: Moves, doc_id: str) -> str:
    text = found.texts.get(doc_id)
    return f"{doc_id}: {text}" if text else doc_id


def _inline(text: str) -> str:
    """A line that Markdown shows as it is."""
    text = " ".join(text.split())
    for mark in "\\`*_[]<>#|":
        text = text.replace(mark, f"\\{mark}")
    return text
