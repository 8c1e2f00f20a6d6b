"""What a run will cost, said before it starts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from opensearch.languages import main_script

# Rough rules for the tokenizers of today's LLMs: characters per token.
_CHARACTERS = {"hangul": 1.6, "han": 1.3, "kana": 1.3}
_LATIN = 4.0
# A query of JSON, with its quotes and its style.
_TOKENS_PER_QUERY = 35


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate.

    Attributes:
        passages: Passages to write for, one call each.
        tokens_in: Tokens the LLM reads.
        tokens_out: Tokens it writes.
        price: In the currency of the given prices; ``None`` without prices.
    """

    passages: int
    tokens_in: int
    tokens_out: int
    price: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The estimate as JSON-ready values."""
        return {
            "passages": self.passages,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "price": None if self.price is None else round(self.price, 4),
        }

    def sentence(self) -> str:
        """The estimate for people."""
        price = "" if self.price is None else f", {self.price:,.2f} in all"
        return (
            f"{self.passages:,} passages, about {self.tokens_in:,} tokens in and "
            f"{self.tokens_out:,} out{price} (without retries)"
        )


def estimate(
    prompts: Iterable[str], count: int, price_in: float | None, price_out: float | None
) -> Cost:
    """What prompts will cost.

    Args:
        prompts: Each is one call.
        count: Queries asked for in each.
        price_in: Price of a million tokens read.
        price_out: Price of a million tokens written.
    """
    passages = tokens_in = 0
    for prompt in prompts:
        passages += 1
        tokens_in += tokens(prompt)
    tokens_out = passages * count * _TOKENS_PER_QUERY
    price = None
    if price_in is not None or price_out is not None:
        price = (tokens_in * (price_in or 0) + tokens_out * (price_out or 0)) / 1e6
    return Cost(passages, tokens_in, tokens_out, price)


def tokens(text: str) -> int:
    """About how many tokens a text has."""
    return round(len(text) / _CHARACTERS.get(main_script(text) or "", _LATIN)) + 1
