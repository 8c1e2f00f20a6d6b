"""Terms of a sparse encoder's loss; each is one function of a represented batch."""

from typing import Any, Literal, TypeAlias

from training.sparse.representations import Step

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used

_MASKED = -1e9
_COSINE_MARGIN = 1.5


def info_nce(step: Step, temperature: float) -> Tensor:
    """Cross-entropy of each query's positive among the batch's documents."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(_logits(step, temperature), step.targets)


def distillation_kl(step: Step, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the scores' softmax from the teacher's."""
    from torch.nn.functional import kl_div, log_softmax

    if step.teacher is None:
        return step.queries.sum() * 0
    teacher = step.teacher.masked_fill(~step.allowed, _MASKED)
    ours = log_softmax(_logits(step, temperature), dim=1)
    return kl_div(ours, log_softmax(teacher, dim=1), log_target=True, reduction="batchmean")


def margin_mse(step: Step) -> Tensor:
    """Squared error of the margin positive minus hard negative (Hofstätter et al., 2020)."""
    if step.teacher is None or step.negatives is None:
        return step.queries.sum() * 0
    scores = _scores(step)
    ours = _at(scores, step.targets) - _at(scores, step.negatives)
    theirs = _at(step.teacher, step.targets) - _at(step.teacher, step.negatives)
    return (ours - theirs).square().mean()


def flops(weights: Tensor, *, cost: Tensor | None = None, threshold: int | None = None) -> Tensor:
    """``Σ_j (mean_i w_ij)²`` (Paria et al., 2020): the operations a query costs, smoothed.

    The mean is over the texts of all processes, so that the term does not depend on how many
    processes share a batch.

    Args:
        weights: ``[N, V]``.
        cost: Factor on each entry, ``[V]``; see :func:`idf_cost`.
        threshold: Texts with fewer active entries are not asked for more sparsity.
    """
    from training.sparse.processes import mean_over_processes

    if threshold is not None:
        long = (weights > 0).sum(1, keepdim=True) > threshold
        weights = weights * long.to(weights.dtype)
    squares = mean_over_processes(weights).square()
    return squares.sum() if cost is None else (squares * cost).sum()


def idf_cost(idf: Tensor) -> Tensor:
    """Frequent words cost more: ``1 / IDF``, scaled to a mean of 1.

    A posting list's length falls with the word's IDF, so an entry's share of the operations is the
    larger the more frequent the word is (the idea of arXiv 2411.04403, not its formula).
    """
    inverse = 1 / idf.clamp(min=0.1)
    return inverse / inverse.mean()


def l1(weights: Tensor) -> Tensor:
    """Mean sum of weights of a text."""
    return weights.sum(1).mean()


def self_preservation(step: Step) -> Tensor:
    """Minus the mean weight of an anchor's own pieces."""
    anchors = _anchors(step)
    return -_mean_where(anchors.scored, anchors.own)


def synonym_activation(step: Step) -> Tensor:
    """Minus the mean weight of the positive's pieces in the anchor."""
    anchors = _anchors(step)
    return -_mean_where(anchors.scored, step.documents.own[step.targets])


def cosine_margin(step: Step) -> Tensor:
    """``relu(1.5 − cos(anchor, positive) + cos(anchor, negative))``."""
    from torch.nn.functional import cosine_similarity

    anchors = _anchors(step).weights
    documents = step.documents.weights
    near = cosine_similarity(anchors, documents[step.targets])
    if step.negatives is None:
        return (_COSINE_MARGIN - near).relu().mean()
    far = cosine_similarity(anchors, documents[step.negatives])
    return (_COSINE_MARGIN - near + far).relu().mean()


def ensemble(
    scores: list[Tensor], *, normalise: Literal["none", "min-max"], scale: float
) -> Tensor:
    """Teachers' scores as one: their mean, each row brought to 0..1 first where asked.

    Args:
        scores: A ``[Q, N]`` matrix of each teacher, its own factor applied.
        normalise: Teachers of different ranges need ``min-max``.
        scale: Factor on the result.
    """
    if normalise == "none":
        return scale * sum(scores[1:], scores[0])
    brought = [_min_max(matrix) for matrix in scores]
    return scale * sum(brought[1:], brought[0]) / len(brought)


def _min_max(matrix: Tensor) -> Tensor:
    low = matrix.amin(1, keepdim=True)
    span = (matrix.amax(1, keepdim=True) - low).clamp(min=1e-9)
    return (matrix - low) / span


def _scores(step: Step) -> Tensor:
    return step.queries @ step.documents.scored.T


def _logits(step: Step, temperature: float) -> Tensor:
    return (_scores(step) / temperature).masked_fill(~step.allowed, _MASKED)


def _at(matrix: Tensor, columns: Tensor) -> Tensor:
    return matrix.gather(1, columns.unsqueeze(1)).squeeze(1)


def _mean_where(weights: Tensor, chosen: Tensor) -> Tensor:
    counted = chosen.to(weights.dtype)
    return ((weights * counted).sum(1) / counted.sum(1).clamp(min=1)).mean()


def _anchors(step: Step) -> Any:
    if step.anchors is None:
        msg = "this term needs the anchors' representations"
        raise ValueError(msg)
    return step.anchors
