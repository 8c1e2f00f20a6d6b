"""Ways in which people ask: each query is written in one of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from training.data.errors import TrainingDataError

STYLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "question": {
            "en": "a complete question, as one would ask a clerk",
            "ko": "창구 직원에게 묻듯이 쓴 완전한 질문",
        },
        "keywords": {
            "en": "two to five search words, no sentence",
            "ko": "문장이 아닌 검색 단어 두 개에서 다섯 개",
        },
        "colloquial": {
            "en": "everyday words of somebody who does not know the technical terms",
            "ko": "전문 용어를 모르는 사람이 일상에서 쓰는 말",
        },
        "situation": {
            "en": "a situation in the first person, without a question mark",
            "ko": "물음표 없이 자기 상황을 설명하는 말",
        },
        "paraphrase": {
            "en": "a question that uses none of the passage's own nouns",
            "ko": "글에 나온 명사를 쓰지 않고 바꿔 말한 질문",
        },
    }
)


def parse_styles(names: str) -> tuple[str, ...]:
    """Names separated by commas.

    Raises:
        TrainingDataError: A name is unknown, or there is none.
    """
    found = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in found if name not in STYLES]
    if unknown or not found:
        what = f"unknown style {unknown[0]!r}" if unknown else "no style"
        raise TrainingDataError([f"{what}; styles are {', '.join(STYLES)}"])
    return found


def described(names: Sequence[str], language: str) -> str:
    """The styles as lines of a prompt."""
    return "\n".join(f"- {name}: {STYLES[name][language]}" for name in names)
