"""Masked-language training on a corpus: an optional stage before a SPLADE run."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from training.errors import TrainingError
from training.sparse.config import PretrainingSettings, SparseConfig
from training.sparse.gates import check_loss

logger = logging.getLogger(__name__)

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used

_IGNORED = -100
_REPLACED, _RANDOM = 0.8, 0.5  # of the masked: by [MASK]; of the others: by any token


def pretrain(
    network: Any, tokenizer: Any, texts: Callable[[], Iterable[str]], config: SparseConfig
) -> list[float]:
    """Teach a network to guess masked tokens of the corpus.

    Args:
        network: A masked language model; changed in place.
        tokenizer: Its tokenizer, with a mask token.
        texts: Opens the corpus; it is read again and again until the steps are done.
        config: The resolved configuration.

    Returns:
        The loss of each step.

    Raises:
        TrainingError: The corpus is empty, or the loss is no finite number.
    """
    import torch

    settings = config.pretraining
    random = torch.Generator().manual_seed(config.training.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    found: list[float] = []
    network.train()
    for step, chunk in enumerate(_batches(texts, settings)):
        batch = tokenizer(
            chunk,
            padding=True,
            truncation=True,
            max_length=config.training.max_tokens or 128,
            return_tensors="pt",
        )
        ids, labels = mask_tokens(batch["input_ids"], tokenizer, settings.masked, random)
        loss = network(input_ids=ids, attention_mask=batch["attention_mask"], labels=labels).loss
        check_loss(float(loss.detach()), step + 1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        found.append(float(loss.detach()))
    network.eval()
    logger.info("masked-language loss %.3f after %d steps", found[-1], len(found))
    return found


def mask_tokens(ids: Tensor, tokenizer: Any, share: float, random: Any) -> tuple[Tensor, Tensor]:
    """BERT's masking: 80 % by the mask token, 10 % by any token, 10 % left as they are.

    Args:
        ids: Token ids, ``[B, L]``.
        tokenizer: Knows its mask and its special tokens.
        share: Of the tokens to guess.
        random: Generator of the draws.

    Returns:
        The masked ids and the labels, ``-100`` where nothing is to be guessed.
    """
    import torch

    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    chosen = (torch.rand(ids.shape, generator=random) < share) & ~special
    if not chosen.any():  # a batch of very short texts still has something to guess
        chosen = ~special & (torch.cumsum((~special).long().flatten(), 0).view(ids.shape) == 1)
    labels = ids.masked_fill(~chosen, _IGNORED)
    draw = torch.rand(ids.shape, generator=random)
    others = torch.randint(len(tokenizer), ids.shape, generator=random)
    masked = torch.where(chosen & (draw < _REPLACED), tokenizer.mask_token_id, ids)
    swapped = chosen & (draw >= _REPLACED + (1 - _REPLACED) * _RANDOM)
    return torch.where(swapped, others, masked), labels


def _batches(
    texts: Callable[[], Iterable[str]], settings: PretrainingSettings
) -> Iterator[list[str]]:
    if next(iter(texts()), None) is None:
        msg = "the corpus is empty: there is nothing to pre-train on"
        raise TrainingError(msg)
    endless = itertools.chain.from_iterable(texts() for _ in itertools.count())
    for _ in range(settings.steps):
        yield list(itertools.islice(endless, settings.batch_size))
