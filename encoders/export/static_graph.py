"""Static models: a table of token vectors and their mean (Sentence Transformers' StaticEmbedding).

No network at all, so a CPU encodes thousands of passages a second. The table may also be in the
form of model2vec: ``embeddings`` with an optional ``mapping`` from token ids to rows and optional
``weights`` of tokens.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

from encoders.base import FloatMatrix
from encoders.errors import EncoderError
from encoders.export.backbone import load_projection, weights_in
from encoders.export.graphs import dense_graph
from encoders.settings import ModelLayout

Module: TypeAlias = Any  # torch.nn.Module
Tensor: TypeAlias = Any  # torch.Tensor

_TABLE = "embedding.weight"
_MODEL2VEC = "embeddings"


def load_static_graph(folder: Path, layout: ModelLayout) -> Module:
    """A static model as one PyTorch module: look-up, mean, linear layers, normalisation.

    Args:
        folder: The model's folder.
        layout: What its files say.

    Raises:
        EncoderError: The folder holds no table of token vectors.
    """
    table = read_table(folder / layout.files.transformer)
    projections = [load_projection(folder, entry) for entry in layout.settings.graph.projections]
    return dense_graph(static_backbone(table), layout.settings.graph, projections)


def static_backbone(table: FloatMatrix) -> Module:
    """Token vectors in the place of a network's hidden states: ``[B, L]`` to ``[B, L, width]``.

    Args:
        table: A vector for each token id, ``[vocabulary, width]``.
    """
    import torch

    class Backbone(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(table))

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
            del attention_mask  # padding is left out by the pooling
            return SimpleNamespace(last_hidden_state=self.embedding(input_ids))

    return Backbone().eval()


def read_table(folder: Path) -> FloatMatrix:
    """The vector of each token id, ``[vocabulary, width]`` float32.

    Raises:
        EncoderError: The folder holds no such table.
    """
    import torch

    weights = weights_in(folder)
    if _TABLE in weights:
        table = weights[_TABLE]
    elif _MODEL2VEC in weights:
        table = _model2vec_table(weights)
    else:
        msg = f"{folder} holds no table of token vectors; its weights are {', '.join(weights)}"
        raise EncoderError(msg)
    found: FloatMatrix = table.to(torch.float32).contiguous().numpy()
    return found


def _model2vec_table(weights: dict[str, Any]) -> Tensor:
    table = weights[_MODEL2VEC]
    if "mapping" in weights:
        table = table[weights["mapping"].long()]
    if "weights" in weights:
        table = table.float() * weights["weights"].float()[:, None]
    return table
