"""Codes and amounts of a text, as written and as keywords.

Analyzers tear ``E-4012`` apart and embeddings blur numbers; a value that people copy into the
search box must find the passage that holds it. Only values specific enough to identify something
are kept: codes that mix letters and digits, and long numbers with their separators removed.
"""

import re
import unicodedata

MAX_VALUES = 64
MIN_DIGITS = 4

# A letter or digit of a script written with spaces. Korean particles, and words of scripts without
# spaces, stand right beside a value and are no part of it: 25000원, E-4012가.
_GLUED = r"(?:-|[^\W\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3])"
_BEFORE = r"(?<![^\W\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3])(?<!-)"
_CODE = re.compile(
    rf"{_BEFORE}(?=[A-Za-z_-]*\d)(?=[0-9_-]*[A-Za-z])[A-Za-z0-9]+(?:[-_/.][A-Za-z0-9]+)*(?!{_GLUED})"
)
_NUMBER = re.compile(
    rf"{_BEFORE}(?<![.,])(?:\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d{{4,}}(?:\.\d+)?(?!{_GLUED}))"
)
_DIGIT = re.compile(r"\d")


def exact_values(text: str) -> list[str]:
    """Distinct codes (upper-cased) and numbers (without thousands separators), in order.

    Years are left out: four bare digits from 1900 to 2099 identify nothing.
    """
    plain = unicodedata.normalize("NFKC", text)
    found: dict[str, None] = {}
    for match in _CODE.finditer(plain):
        if len(_DIGIT.findall(match[0])) >= 2 and len(match[0]) >= 4:
            found[match[0].upper()] = None
    for match in _NUMBER.finditer(plain):
        number = match[0].replace(",", "")
        if not _is_year(match[0]) and len(_DIGIT.findall(number)) >= MIN_DIGITS:
            found[number] = None
    return list(found)[:MAX_VALUES]


def _is_year(number: str) -> bool:
    return len(number) == 4 and number[:2] in ("19", "20")
