"""Does an exported graph give what the original gives?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from encoders.base import FloatMatrix
from encoders.errors import ParityError
from encoders.runner import Runner
from encoders.tokenization import Batch, TextTokenizer

MIN_COSINE = 0.9999
_LENGTHS = (2, 5, 17, 48)
_SEED = 13
_TEXTS_PER_BATCH = 8
# Of several lengths and scripts; the last ones are where tokenizers and graphs break.
FIXED_TEXTS = (
    "annual fee",
    "What does a transfer abroad cost, and how long does it take?",
    "해외 송금 수수료는 얼마인가요?",
    "Die Gebühr wird am ersten Werktag des Monats abgebucht; sie beträgt 12,50 €.",
    "Error E-4012: the daily limit is used up. " * 12,
    "a",
    "",
    "東京 naïve ½ 🙂 x_y://z?q=1&r=[SEP] <mask>",
)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two runs of a graph are apart.

    Attributes:
        min_cosine: Of the worst row.
        max_difference: Largest absolute difference of a component.
        rows: Rows compared.
    """

    min_cosine: float
    max_difference: float
    rows: int


def check_parity(original: Runner, exported: Runner, *, vocabulary: int, max_tokens: int) -> Parity:
    """Compare two runners on random ids: several lengths, batches and both padding sides.

    Args:
        original: The PyTorch graph.
        exported: The ONNX graph.
        vocabulary: Ids are drawn below it.
        max_tokens: No row is longer.

    Raises:
        ParityError: A row's cosine is below 0.9999.
    """
    batches = list(probe_batches(vocabulary, max_tokens))
    parity = compare(map(original.run, batches), map(exported.run, batches))
    require_parity(parity, 1 - MIN_COSINE)
    return parity


def compare(original: Iterable[FloatMatrix], exported: Iterable[FloatMatrix]) -> Parity:
    """Compare the rows of the same batches, run twice."""
    cosines: list[float] = []
    differences: list[float] = []
    for expected, found in zip(original, exported, strict=True):
        cosines.extend(row_cosines(expected, found).tolist())
        differences.append(float(np.abs(expected - found).max()))
    return Parity(min(cosines), max(differences), len(cosines))


def require_parity(parity: Parity, allowed_loss: float) -> None:
    """Refuse an export that differs by more than ``1 - cosine``.

    Raises:
        ParityError: A row differs by more.
    """
    # Turned round so that a cosine that is no number is refused, too.
    if not parity.min_cosine >= 1 - allowed_loss:
        msg = (
            f"The exported graph differs from the original: cosine {parity.min_cosine:.6f} "
            f"(at least {1 - allowed_loss:g} is needed), largest difference "
            f"{parity.max_difference:.2e}. Nothing was written. Use --runtime torch for this model."
        )
        raise ParityError(msg)


def probe_batches(vocabulary: int, max_tokens: int) -> Iterator[Batch]:
    """One text alone, then ragged batches of growing length, padded right and left."""
    random = np.random.default_rng(_SEED)
    for length in sorted({min(length, max_tokens) for length in _LENGTHS}):
        yield _ragged(random, [length], vocabulary, left=False)
        ragged = [length, max(1, length // 2), 1]
        yield _ragged(random, ragged, vocabulary, left=False)
        yield _ragged(random, ragged, vocabulary, left=True)


def comparison_batches(tokenizer: TextTokenizer, texts: Sequence[str] = ()) -> list[Batch]:
    """What an export is compared on: random ids, the fixed texts, and the user's own."""
    probes = probe_batches(tokenizer.vocabulary_size, tokenizer.max_tokens)
    return [*probes, *text_batches(tokenizer, [*FIXED_TEXTS, *texts])]


def text_batches(tokenizer: TextTokenizer, texts: Sequence[str]) -> Iterator[Batch]:
    """Texts as a user's batches have them: each padded once at the right and once at the left."""
    sides: tuple[Literal["left", "right"], ...] = ("right", "left")
    rows = tokenizer.token_ids(texts)
    for start in range(0, len(rows), _TEXTS_PER_BATCH):
        chosen = rows[start : start + _TEXTS_PER_BATCH]
        for side in sides:
            yield replace(tokenizer, padding_side=side).pad(chosen)


def single_token_batch(tokenizer: TextTokenizer) -> Batch:
    """One text of one token: what a node sends for a short query without special tokens."""
    row = np.asarray([[min(1, tokenizer.vocabulary_size - 1)]], dtype=np.int64)
    return Batch(row, np.ones_like(row))


def row_cosines(first: FloatMatrix, second: FloatMatrix) -> FloatMatrix:
    """Cosine of each pair of rows; two rows of zeros are alike."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = np.einsum("ij,ij->i", first, second)
    same_zeros = ~first.any(axis=1) & ~second.any(axis=1)
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return np.where(same_zeros, np.float32(1), cosines)


def _ragged(
    random: np.random.Generator, lengths: list[int], vocabulary: int, *, left: bool
) -> Batch:
    width = max(lengths)
    ids = random.integers(0, vocabulary, size=(len(lengths), width), dtype=np.int64)
    columns = np.arange(width)
    mask = [columns >= width - n if left else columns < n for n in lengths]
    return Batch(ids, np.asarray(mask, dtype=np.int64))
