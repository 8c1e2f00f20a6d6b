"""Two models over the same sets: table, significance, one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.evaluation.metrics import LABELS, PRIMARY, Evaluated
from training.evaluation.significance import Comparison, Pair, compare, format_p, holm, percent

TABLE_METRICS = ("ndcg@10", "mrr@10", "recall@10", "recall@100")


@dataclass(frozen=True)
class SetComparison:
    """One set, before and after.

    Attributes:
        name: Folder and split.
        role: ``dev`` or ``floor``.
        base: Metrics of the base model.
        tuned: Metrics of the tuned one.
        ndcg: The paired comparison of NDCG@10, corrected for all sets of the run.
    """

    name: str
    role: str
    base: Evaluated
    tuned: Evaluated
    ndcg: Comparison

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready values."""
        return {
            "set": self.name,
            "role": self.role,
            "base": {k: round(v, 6) for k, v in self.base.aggregate.items()},
            "tuned": {k: round(v, 6) for k, v in self.tuned.aggregate.items()},
            "comparison": self.ndcg.as_dict(),
        }


def compare_sets(
    roles: Mapping[str, str], base: Mapping[str, Evaluated], tuned: Mapping[str, Evaluated]
) -> list[SetComparison]:
    """Compare two models on every set, with Holm's correction over the sets.

    Args:
        roles: Set -> ``dev`` or ``floor``.
        base: Set -> metrics of the base model.
        tuned: Set -> metrics of the tuned one.
    """
    found = compare_values(
        {name: base[name].values(PRIMARY) for name in roles},
        {name: tuned[name].values(PRIMARY) for name in roles},
    )
    return [
        SetComparison(name, role, base[name], tuned[name], found[name])
        for name, role in roles.items()
    ]


def compare_values(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]
) -> dict[str, Comparison]:
    """Compare NDCG@10 query by query, with Holm's correction over the sets.

    Args:
        before: Set -> values of the base model.
        after: Set -> values of the tuned one, in the same order; these sets are compared.
    """
    found = {
        name: compare(Pair("tuned", "base", PRIMARY, values, before[name]))
        for name, values in after.items()
    }
    corrected = holm([comparison.p_randomisation for comparison in found.values()])
    return {
        name: replace(comparison, p_holm=p)
        for (name, comparison), p in zip(found.items(), corrected, strict=True)
    }


def markdown_table(comparisons: Sequence[SetComparison]) -> str:
    """Base and tuned side by side; what is within noise is called that."""
    labels = [LABELS[metric] for metric in TABLE_METRICS]
    lines = [
        f"| set | role | queries | {' | '.join(labels)} | change of NDCG@10 | verdict |",
        f"|---|---|---|{'---|' * len(labels)}---|---|",
    ]
    for found in comparisons:
        cells = [
            f"{found.base.aggregate[m]:.4f} → {found.tuned.aggregate[m]:.4f}" for m in TABLE_METRICS
        ]
        change = found.ndcg.relative
        shown = f"{found.ndcg.difference:+.4f}" if change is None else percent(change)
        lines.append(
            f"| {found.name} | {found.role} | {found.ndcg.n} | {' | '.join(cells)} | {shown} "
            f"({format_p(found.ndcg.p_holm)}) | {found.ndcg.verdict()} |"
        )
    return "\n".join(lines)
