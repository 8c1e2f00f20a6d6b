"""The ``tokenizer.json`` a cluster's node reads: everything it must do stands in the file."""

from encoders.errors import EncoderError
from encoders.export.parity import FIXED_TEXTS
from encoders.tokenization import TextTokenizer


def node_tokenizer(tokenizer: TextTokenizer) -> str:
    """A tokenizer file with truncation said, no padding, and lower-casing inside.

    The node encodes one text at a time by this file alone. A state left over from training
    (padding to 64, say) would take effect there.

    Raises:
        EncoderError: The file gives other ids than the model's tokenizer.
    """
    from tokenizers import Tokenizer, normalizers

    made = Tokenizer.from_str(tokenizer.portable())
    made.no_padding()
    if tokenizer.lowercase:
        steps = [normalizers.Lowercase(), *([made.normalizer] if made.normalizer else [])]
        made.normalizer = normalizers.Sequence(steps)
    serialized = str(made.to_str())
    _check(tokenizer, serialized)
    return serialized


def _check(tokenizer: TextTokenizer, serialized: str) -> None:
    from tokenizers import Tokenizer

    restored = Tokenizer.from_str(serialized)
    special = tokenizer.tokens(tokenizer.special_ids())
    for text, expected in zip(FIXED_TEXTS, tokenizer.token_ids(FIXED_TEXTS), strict=True):
        # A special token written out in a text is recognised before the file lower-cases anything.
        if tokenizer.lowercase and any(name in text for name in special):
            continue
        if restored.encode(text).ids != expected:
            msg = f"The tokenizer file for the node reads {text[:40]!r} otherwise than the model"
            raise EncoderError(msg)
