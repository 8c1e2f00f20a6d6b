"""The query side of an inference-free sparse model, as the files of a ``SPARSE_TOKENIZE`` model.

On the node a query becomes the distinct tokens of ``tokenizer.json``, each with its weight from
``idf.json``. Three things there are not as an encoder wants them, and are put right in the files:

- The post-processor adds ``[CLS]`` and ``[SEP]``: it is taken out.
- A token without an entry weighs 1, and one with weight 0 makes the whole query fail. But a token
  whose decoded text is empty is left out: so the decoder is replaced by one that empties exactly
  the tokens without weight.
- Tokens are named by what the decoder makes of them (``Ġfee`` would become `` fee``): the new
  decoder leaves every other token as it stands in the vocabulary.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

TOKENIZER = "tokenizer.json"
WEIGHTS = "idf.json"


def query_side_files(serialized: str, weights: Mapping[str, float]) -> dict[str, str]:
    """The files of a ``SPARSE_TOKENIZE`` model.

    Args:
        serialized: A ``tokenizer.json`` that truncates and does not pad.
        weights: Positive weight of every token that has one.

    Returns:
        Content by file name.
    """
    tokenizer: dict[str, Any] = json.loads(serialized)
    silent = sorted(vocabulary(tokenizer) - weights.keys())
    tokenizer["post_processor"] = None
    tokenizer["decoder"] = emptying_decoder(silent)
    return {
        TOKENIZER: json.dumps(tokenizer, ensure_ascii=False),
        WEIGHTS: json.dumps(dict(sorted(weights.items())), ensure_ascii=False),
    }


def with_plain_names(serialized: str) -> str:
    """A ``tokenizer.json`` whose single tokens decode to their names in the vocabulary.

    ML Commons names the tokens of a sparse vector by decoding them one by one; without a decoder
    that gives the vocabulary entry, which is what indices built by Tandem hold.
    """
    tokenizer = json.loads(serialized)
    tokenizer["decoder"] = None
    return json.dumps(tokenizer, ensure_ascii=False)


def vocabulary(tokenizer: Mapping[str, Any]) -> set[str]:
    """Every token of a parsed ``tokenizer.json``; Unigram models keep pairs, others a mapping."""
    entries = tokenizer["model"]["vocab"]
    names = entries if isinstance(entries, Mapping) else (entry[0] for entry in entries)
    return {*names, *(token["content"] for token in tokenizer.get("added_tokens") or ())}


def emptying_decoder(tokens: Iterable[str]) -> dict[str, Any] | None:
    """A decoder that makes nothing of the given tokens and leaves all others as they are."""
    alternatives = "|".join(re.escape(token) for token in tokens)
    if not alternatives:
        return None
    pattern = rf"\A(?:{alternatives})\z"
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}
