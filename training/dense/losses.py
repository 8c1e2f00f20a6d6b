"""Builds what is minimised from the losses of Sentence Transformers."""

import copy
from typing import Any

from training.dense.config import DenseConfig
from training.errors import TrainingError


def build_loss(config: DenseConfig, model: Any, base: Any) -> Any:
    """The loss of a run, a ``torch.nn.Module`` that takes tokenised columns and labels.

    Args:
        config: The run's configuration.
        model: The ``SentenceTransformer`` that is trained.
        base: Loads a fresh copy of the model as it was; called only where a copy is needed.

    Raises:
        TrainingError: Vector widths that the model does not have.
    """
    loss = _objective(config, model, base)
    return _matryoshka(config, model, loss) if config.loss.matryoshka else loss


def _objective(config: DenseConfig, model: Any, base: Any) -> Any:
    from sentence_transformers.sentence_transformer import losses

    settings = config.loss
    if settings.objective == "margin-mse":
        return losses.MarginMSELoss(model, similarity_fct=_scaled_products(settings.scale))
    if settings.objective == "kl":
        temperature = 1 / settings.teacher_scale
        return losses.DistillKLDivLoss(
            model, student_temperature=1 / settings.scale, teacher_temperature=temperature
        )
    if settings.false_negatives is not None:
        return _guided(config, model, base)
    if config.adapter.side == "query":
        return frozen_documents_loss(model, _frozen(base()), scale=settings.scale)
    shared = {"scale": settings.scale, "gather_across_devices": settings.gather_across_devices}
    size = cached_size(config)
    if size is None:
        return losses.MultipleNegativesRankingLoss(model, **shared)
    return losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=size, **shared)


def cached_size(config: DenseConfig) -> int | None:
    """Texts at a time where that is less than a batch; else nothing has to be cached.

    The gradient is the same either way; without caching each text is read once, not twice.
    """
    size = config.training.mini_batch_size
    return size if size is not None and size < config.training.batch_size else None


def _guided(config: DenseConfig, model: Any, base: Any) -> Any:
    from sentence_transformers.sentence_transformer import losses

    filtering = config.loss.false_negatives
    if filtering is None:
        return None
    options: dict[str, Any] = {
        "temperature": 1 / config.loss.scale,
        "margin": filtering.margin,
        "margin_strategy": filtering.strategy,
        "contrast_anchors": False,  # as in the plain loss: a query against documents only
        "contrast_positives": False,
        "gather_across_devices": config.loss.gather_across_devices,
    }
    guide = _frozen(_guide(filtering.guide, config) if filtering.guide else base())
    size = cached_size(config)
    if size is None:
        return losses.GISTEmbedLoss(model, guide, **options)
    return losses.CachedGISTEmbedLoss(model, guide, mini_batch_size=size, **options)


def _guide(name: str, config: DenseConfig) -> Any:
    from training.dense.base_model import BaseModel

    return BaseModel.read(config.model_copy(update={"model": name})).load()


def _frozen(model: Any) -> Any:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.eval()


def _scaled_products(scale: float) -> Any:
    """Products of paired unit vectors, on the scale of the teacher's scores."""
    from sentence_transformers.util import pairwise_cos_sim

    def scaled(first: Any, second: Any) -> Any:
        return scale * pairwise_cos_sim(first, second)

    return scaled


def _matryoshka(config: DenseConfig, model: Any, loss: Any) -> Any:
    from sentence_transformers.sentence_transformer import losses

    width = model.get_embedding_dimension()
    too_wide = [size for size in config.loss.matryoshka if size > width]
    if too_wide:
        msg = f"loss.matryoshka asks for {too_wide}, but {config.model} gives {width} components"
        raise TrainingError(msg)
    widths = sorted({width, *config.loss.matryoshka}, reverse=True)
    return losses.MatryoshkaLoss(model, loss, matryoshka_dims=widths)


def frozen_documents_loss(model: Any, documents: Any, *, scale: float) -> Any:
    """Contrastive loss in which only the query side learns.

    Documents are encoded by the base model without gradient, as they lie in the index.

    Args:
        model: The ``SentenceTransformer`` that is trained, for queries.
        documents: The frozen one, for documents.
        scale: Factor on cosines.
    """
    import torch
    from sentence_transformers.sentence_transformer import losses

    class FrozenDocumentsLoss(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.ranking = losses.MultipleNegativesRankingLoss(model, scale=scale)
            # In a tuple: the frozen weights belong to no optimiser, checkpoint or process group.
            self.frozen = (documents,)

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            query, *passages = (copy.copy(features) for features in sentence_features)
            vectors = [self.model(query)["sentence_embedding"]]
            with torch.no_grad():
                encoder = self.frozen[0].to(vectors[0].device)
                vectors += [encoder(features)["sentence_embedding"] for features in passages]
            return self.ranking.compute_loss_from_embeddings(vectors, labels)

    return FrozenDocumentsLoss()
