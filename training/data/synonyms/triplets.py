"""Triplets of anchor, synonym and hard negative: words that look alike and mean something else."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from training.data.normalising import normalised
from training.data.splitting import Groups, draw
from training.data.synonyms.glossary import Entry

_PIECE = 2
# Terms compared with an anchor.
_MOST_TERMS = 1_000


@dataclass(frozen=True, slots=True)
class Triplet:
    """What the sparse trainer takes.

    Attributes:
        anchor: A term.
        positive: A synonym of it.
        negative: Another term of its domain, no synonym.
        domain: The domain.
        alike: Whether the negative shares characters with the anchor, or was drawn.
    """

    anchor: str
    positive: str
    negative: str
    domain: str
    alike: bool = True

    def as_dict(self) -> dict[str, str]:
        """One line of a file of triplets."""
        return {
            "anchor": self.anchor,
            "positive": self.positive,
            "negative": self.negative,
            "domain": self.domain,
        }


class Thesaurus:
    """Who is whose synonym, and which terms of a domain look alike."""

    def __init__(self, entries: Iterable[Entry], *, both_ways: bool = False) -> None:
        """Read a glossary.

        Args:
            entries: Its lines; a term may come several times.
            both_ways: Synonyms are anchors as well.
        """
        self.groups = Groups()
        self._synonyms: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._known: dict[str, set[str]] = defaultdict(set)
        self._terms: dict[str, dict[str, None]] = defaultdict(dict)
        for entry in entries:
            self._add(entry, both_ways=both_ways)
        self._lists = {domain: list(terms) for domain, terms in self._terms.items()}
        self._pieces = {domain: _by_piece(terms) for domain, terms in self._terms.items()}

    def anchors(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Domain, anchor and its synonyms."""
        for (domain, anchor), synonyms in self._synonyms.items():
            yield domain, anchor, tuple(synonyms)

    def negatives(
        self, domain: str, anchor: str, count: int, rng: random.Random
    ) -> list[tuple[str, bool]]:
        """Other terms of the domain that are no synonyms, those that look most alike first.

        A synonym's synonym is none either: thesauri are seldom complete.

        Returns:
            Terms, and whether each shares characters with the anchor.
        """
        near = self._near(anchor)
        alike = [term for term in self._alike(domain, anchor) if normalised(term) not in near]
        found = [(term, True) for term in alike[:count]]
        if len(found) < count:
            near |= {normalised(term) for term in alike}
            drawn = self._drawn(domain, near, count - len(found), rng)
            found += [(term, False) for term in drawn]
        return found

    def _add(self, entry: Entry, *, both_ways: bool) -> None:
        words = (entry.term, *entry.synonyms)
        self.groups.join(normalised(word) or word for word in words)
        for word in words:
            self._terms[entry.domain][word] = None
            self._known[normalised(word)].update(normalised(other) for other in words)
        for anchor in words if both_ways else words[:1]:
            others = {other: None for other in words if normalised(other) != normalised(anchor)}
            if others:
                self._synonyms[entry.domain, anchor].update(others)

    def _near(self, anchor: str) -> set[str]:
        direct = self._known[normalised(anchor)]
        return {normalised(anchor)}.union(direct, *(self._known[word] for word in direct))

    def _drawn(self, domain: str, near: set[str], count: int, rng: random.Random) -> list[str]:
        terms = self._lists[domain]
        tried = rng.sample(terms, min(len(terms), count + len(near)))
        return [term for term in tried if normalised(term) not in near][:count]

    def _alike(self, domain: str, anchor: str) -> list[str]:
        own = _pieces(anchor)
        pieces = self._pieces[domain]
        shared: Counter[str] = Counter()
        # Rare pieces first: they tell most, and common ones would compare everything with all.
        for piece in sorted(own, key=lambda piece: (len(pieces.get(piece, ())), piece)):
            terms = pieces.get(piece, [])
            if shared.total() + len(terms) > _MOST_TERMS:
                break
            shared.update(terms)
        likeness = {t: n / len(own | _pieces(t)) for t, n in shared.items()}
        return sorted(likeness, key=lambda term: (-likeness[term], term))


def triplets(thesaurus: Thesaurus, negatives: int = 1, seed: int = 42) -> Iterator[Triplet]:
    """All triplets: each synonym of each anchor, with so many negatives.

    A domain that has nothing but synonyms of an anchor gives no triplet for it.
    """
    for domain, anchor, synonyms in thesaurus.anchors():
        rng = random.Random(f"{seed}/{domain}/{anchor}")  # noqa: S311 - a drawing, no secret
        found = thesaurus.negatives(domain, anchor, negatives, rng)
        for positive in synonyms:
            for negative, alike in found:
                yield Triplet(anchor, positive, negative, domain, alike)


def dev_groups(thesaurus: Thesaurus, share: float, seed: int) -> frozenset[str]:
    """Groups of words that are dev data: whole groups, so that no pair is seen in training.

    Words that hang together by synonyms of synonyms are one group; a group that is larger than what
    is wanted stays in training.
    """
    sizes = Counter(group_of(thesaurus, anchor) for _, anchor, _ in thesaurus.anchors())
    return frozenset(draw(sizes, share, seed))


def group_of(thesaurus: Thesaurus, word: str) -> str:
    """The group of a word."""
    return thesaurus.groups.group(normalised(word) or word)


def _by_piece(terms: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for term in terms:
        for piece in _pieces(term):
            found[piece].append(term)
    return found


def _pieces(term: str) -> set[str]:
    """Pairs of neighbouring characters; a single character by itself."""
    plain = normalised(term).replace(" ", "")
    return {plain[i : i + _PIECE] for i in range(max(1, len(plain) - 1))}
