"""Which of the texts found for a query become its negatives: the decision, apart from the search.

The margin is relative to the relevant text's own score: what scores nearly as high is probably
relevant too (Moreira et al., "NV-Retriever: Improving text embedding models with effective
hard-negative mining", arXiv 2407.15831, TopK-PercPos).
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from training.data.errors import TrainingDataError
from training.data.normalising import normalised, text_key
from training.data.records import TrainingRecord

MAX_NEGATIVES = 64
# Characters from which on a text is not contained in another by chance.
_TELLING = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that was found for a query, or drawn.

    Attributes:
        id: Its document.
        text: What would be trained on.
        score: By the leg that found it, or by the teacher.
        body: The text without the document's title, where they can be told apart.
    """

    id: str
    text: str
    score: float = 0.0
    body: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """How negatives are chosen.

    Attributes:
        from_rank: First rank taken, from 1; the ranks above are too often relevant.
        to_rank: Last rank taken.
        margin: A negative scores at most this share of the lowest relevant text.
        negatives: Per query.
        random_share: Share of them that is drawn at random instead.
        seed: Of the drawing.
    """

    from_rank: int = 5
    to_rank: int = 50
    margin: float = 0.95
    negatives: int = 4
    random_share: float = 0.0
    seed: int = 42

    def __post_init__(self) -> None:
        if not 1 <= self.from_rank <= self.to_rank:
            fault = f"ranks {self.from_rank} to {self.to_rank}: the first must be 1 or more"
            raise TrainingDataError([f"{fault}, and not above the last"])
        if not 1 <= self.negatives <= MAX_NEGATIVES:
            fault = f"{self.negatives} negatives per query; allowed: 1 to {MAX_NEGATIVES}"
            raise TrainingDataError([fault])
        if not (0 < self.margin <= 1 and 0 <= self.random_share <= 1):
            fault = f"margin {self.margin} must be above 0, random share {self.random_share} from 0"
            raise TrainingDataError([f"{fault}; both at most 1"])

    @property
    def random_count(self) -> int:
        """How many of the negatives are drawn at random."""
        return round(self.negatives * self.random_share)


def window(ranking: Sequence[Candidate], selection: Selection) -> Sequence[Candidate]:
    """The part of a ranking between the first and the last rank."""
    return ranking[selection.from_rank - 1 : selection.to_rank]


def without_relevant(candidates: Sequence[Candidate], record: TrainingRecord) -> list[Candidate]:
    """Candidates that are not judged relevant, each text once.

    A candidate is relevant by its id, or because its text and a relevant one say the same or one
    holds the other (an index holds passages, judgements often name whole documents).
    """
    relevant = [normalised(text) for text in record.pos]
    seen: set[str] = set()
    kept = []
    for candidate in candidates:
        key = text_key(candidate.text)
        if key in seen or is_relevant(candidate, record.pos_ids, relevant):
            continue
        seen.add(key)
        kept.append(candidate)
    return kept


def is_relevant(candidate: Candidate, ids: Collection[str], relevant: Sequence[str]) -> bool:
    """Whether a candidate is one of the relevant documents.

    Args:
        candidate: What was found.
        ids: Ids of the relevant documents.
        relevant: Their normalised texts.
    """
    if candidate.id and candidate.id in ids:
        return True
    text, body = normalised(candidate.text), normalised(candidate.body)
    if not text:
        return True  # nothing to learn from
    return any(
        text == other or _holds(other, body or text) or _holds(text, other) for other in relevant
    )


def _holds(whole: str, part: str) -> bool:
    """Whether a text of some length stands in another; a word or two would prove nothing."""
    return len(part) >= _TELLING and part in whole


def limit(positive: float | None, margin: float) -> float:
    """The highest score a negative may have.

    ``margin × positive`` where scores are positive, and as far below a negative one.

    Args:
        positive: Score of the lowest relevant text; ``None`` where it is not known.
        margin: 0..1.
    """
    if positive is None:
        return float("inf")
    return positive - (1 - margin) * abs(positive)


def choose(
    hard: Sequence[Candidate], drawn: Sequence[Candidate], highest: float, selection: Selection
) -> list[Candidate]:
    """The negatives of a query: the best-ranked hard ones below the limit, and random ones.

    Where there are too few hard ones, random ones take their place.

    Args:
        hard: Candidates of the rank window, best first, none of them relevant.
        drawn: Candidates drawn at random, none of them relevant.
        highest: See :func:`limit`.
        selection: How many of which.
    """
    below = [candidate for candidate in hard if candidate.score <= highest]
    taken = below[: selection.negatives - selection.random_count]
    known = {text_key(candidate.text) for candidate in taken}
    others = [candidate for candidate in drawn if text_key(candidate.text) not in known]
    return [*taken, *others[: selection.negatives - len(taken)]]


def drawing(
    record: TrainingRecord, pool: Sequence[Candidate], selection: Selection
) -> list[Candidate]:
    """Texts drawn for a query: the same for the same query and seed, none of them relevant."""
    if not selection.random_count or not pool:
        return []
    rng = random.Random(f"{selection.seed}/{text_key(record.query)}")  # noqa: S311 - no secret
    count = min(len(pool), selection.negatives + len(record.pos) + 2)
    return without_relevant(rng.sample(pool, count), record)
