"""Which analyzers an index needs, and which of its fields a query is matched against.

A text is assigned to a script group by its letters. Every group has an analyzer; an index whose
corpus mixes groups keeps one sub-field per further group, and a query is matched against the
sub-field of its own group.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

# Shares below this are quotations and names, not a language of the corpus.
MIXED_SHARE = 0.05

ANALYZERS = MappingProxyType(
    {
        "latin": "english",
        "hangul": "tandem_cjk",  # nori where the cluster has it
        "han": "tandem_cjk",
        "kana": "tandem_cjk",
        "other": "standard",
    }
)
NORI_PLUGIN = "analysis-nori"

# The standard tokenizer keeps `DSR은`, `3,000원` and `제11조` in one piece. It is worth keeping (an
# article of a law is not its number), but its parts must be found by themselves too.
_LATIN = re.compile(r"[A-Za-z0-9]")
_HANGUL = re.compile(r"[\uAC00-\uD7A3]")
_BORDER = re.compile(r"(?<=[\uAC00-\uD7A3])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\uAC00-\uD7A3])")

# Syllables, and the single letters that stand for laughter or a slip of the keyboard.
_SYLLABLES = r"[\u1100-\u11FF\u3130-\u318F\uA960-\uA97F\uAC00-\uD7FF]"

# The built-in analyzer `cjk`, with the parts of words that mix scripts beside the words. Hangul is
# cut out beside Latin and digits only: `cjk_bigram` takes a word of Hangul alone apart into pairs,
# and a part would begin before them; OpenSearch refuses a document whose words go backwards.
CJK_ANALYSIS: Mapping[str, Any] = MappingProxyType(
    {
        "filter": {
            "tandem_parts": {
                "type": "pattern_capture",
                "preserve_original": True,
                "patterns": [
                    r"([a-z0-9][a-z0-9.,]*)",
                    rf"(?<=[a-z0-9.,])({_SYLLABLES}+)|({_SYLLABLES}+)(?=[a-z0-9])",
                ],
            },
            "tandem_stop": {"type": "stop", "stopwords": "_english_"},
        },
        "analyzer": {
            "tandem_cjk": {
                "type": "custom",
                "tokenizer": "standard",
                "filter": ["cjk_width", "lowercase", "tandem_parts", "cjk_bigram", "tandem_stop"],
            }
        },
    }
)
# At search time the parts are words of their own (see `with_parts`); as alternatives at one
# position they would all count like the commonest of them.
SEARCH_ANALYZERS: Mapping[str, str] = MappingProxyType({"tandem_cjk": "cjk"})

_PREFIXES = (
    ("LATIN", "latin"),
    ("HANGUL", "hangul"),
    ("CJK", "han"),
    ("HIRAGANA", "kana"),
    ("KATAKANA", "kana"),
)


@lru_cache(maxsize=65536)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "")
    return next((group for prefix, group in _PREFIXES if name.startswith(prefix)), "other")


def script_counts(text: str) -> Counter[str]:
    """Words of a text by script group; a syllable or ideograph counts like half a word.

    Letters cannot be compared across scripts: a Hangul syllable holds about as much as two to
    three Latin letters.
    """
    letters = Counter(group for group in map(_script, text) if group)
    return Counter(
        {group: n if group in ("latin", "other") else 3 * n for group, n in letters.items()}
    )


def main_script(text: str) -> str | None:
    """The script group most of the text is written in; ``None`` without letters."""
    counts = script_counts(text)
    return counts.most_common(1)[0][0] if counts else None


def corpus_scripts(texts: Iterable[str]) -> tuple[str, ...]:
    """Script groups of a corpus sample, most frequent first, rare ones left out."""
    mains = Counter(script for script in map(main_script, texts) if script)
    total = sum(mains.values())
    kept = tuple(group for group, n in mains.most_common() if n >= MIXED_SHARE * total)
    return kept or ("latin",)


def analyzer_for(script: str, *, nori: bool) -> str:
    """The built-in analyzer of a script group."""
    return "nori" if script == "hangul" and nori else ANALYZERS[script]


def with_parts(text: str) -> str:
    """A query followed by the parts of its words that mix scripts: `DSR은` also asks for `DSR`."""
    # Word by word: one expression for both conditions takes time quadratic in a word's length.
    mixed = [word for word in text.split() if _LATIN.search(word) and _HANGUL.search(word)]
    return " ".join([text, *(_BORDER.sub(" ", word) for word in mixed)])
