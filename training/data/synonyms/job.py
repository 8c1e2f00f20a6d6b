"""From a glossary to two files of triplets."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.data.errors import TrainingDataError
from training.data.synonyms.glossary import Entry
from training.data.synonyms.triplets import Thesaurus, dev_groups, group_of, triplets

TRAIN, DEV, REPORT = "train.jsonl", "dev.jsonl", "report.json"


@dataclass(frozen=True, slots=True)
class SynonymOptions:
    """How triplets are made.

    Attributes:
        dev_share: Share of the anchors kept for measuring.
        negatives: Triplets per pair of anchor and synonym.
        both_ways: Synonyms are anchors as well.
        seed: Of the split and of what is drawn.
    """

    dev_share: float = 0.1
    negatives: int = 1
    both_ways: bool = False
    seed: int = 42


@dataclass(frozen=True)
class SynonymReport:
    """What was written.

    Attributes:
        anchors: Terms with a synonym.
        train: Triplets to train on.
        dev: Triplets to measure on.
        without: Anchors whose domain holds nothing but their synonyms.
        drawn: Triplets whose negative was drawn, since none looks like the anchor.
        domains: Domain -> triplets.
    """

    anchors: int
    train: int
    dev: int
    without: int
    drawn: int
    domains: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self)


def write_triplets(
    entries: Iterable[Entry], folder: Path, options: SynonymOptions
) -> SynonymReport:
    """Write ``train.jsonl``, ``dev.jsonl`` and ``report.json``.

    Raises:
        TrainingDataError: The glossary is faulty, or gives no triplet.
    """
    thesaurus = Thesaurus(entries, both_ways=options.both_ways)
    dev = dev_groups(thesaurus, options.dev_share, options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    domains: Counter[str] = Counter()
    served: set[tuple[str, str]] = set()
    with (
        (folder / TRAIN).open("w", encoding="utf-8") as train_file,
        (folder / DEV).open("w", encoding="utf-8") as dev_file,
    ):
        for triplet in triplets(thesaurus, options.negatives, options.seed):
            is_dev = group_of(thesaurus, triplet.anchor) in dev
            line = json.dumps(triplet.as_dict(), ensure_ascii=False) + "\n"
            (dev_file if is_dev else train_file).write(line)
            counts.update(["dev" if is_dev else "train", *([] if triplet.alike else ["drawn"])])
            domains[triplet.domain] += 1
            served.add((triplet.domain, triplet.anchor))
    anchors = sum(1 for _ in thesaurus.anchors())
    if not served:
        fault = f"no triplet: {anchors} terms with a synonym, and no other term in their domains"
        raise TrainingDataError([fault])
    report = SynonymReport(
        anchors=anchors,
        train=counts["train"],
        dev=counts["dev"],
        without=anchors - len(served),
        drawn=counts["drawn"],
        domains=dict(domains),
    )
    text = json.dumps(report.as_dict(), ensure_ascii=False, indent=2)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")
    return report
