"""A masked language model under training as SPLADE; Sentence Transformers holds and saves it."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from encoders.export.graphs import ACTIVATE, sparse_graph
from encoders.model import Model
from encoders.options import LoadOptions
from encoders.registry import CPU_PLAN, GPU_PLAN, read_model
from encoders.sparse import SpladeEncoder
from encoders.tokenization import TextTokenizer
from encoders.torch_runner import TorchRunner
from training.sparse.config import SparseConfig
from training.sparse.max_match import max_match
from training.sparse.representations import Documents
from training.sparse.splade_model import document_modules, query_module, write_splade

logger = logging.getLogger(__name__)

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used


@dataclass
class SpladeStudent:
    """A ``SparseEncoder`` of Sentence Transformers, loaded for training.

    Attributes:
        config: The resolved configuration.
        model: Settings and tokenizer, as :func:`encoders.registry.load_sparse` reads them.
        sparse_encoder: The ``SparseEncoder``.
        device: Where it is.
        own_loss: CachedSpladeLoss, where the configuration asks for it.
    """

    config: SparseConfig
    model: Model
    sparse_encoder: Any
    device: str
    own_loss: Any = None
    _keep: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        import torch

        keep = torch.ones(self.model.settings.graph.width)
        keep[self.model.silent_ids()] = 0.0
        self._keep = keep.to(self.device)
        self._documents, self._pooling = document_modules(self.sparse_encoder)
        self._queries = query_module(self.sparse_encoder)
        if self.config.splade.gradient == "cached":
            from training.sparse.cached_loss import CachedLoss

            self.own_loss = CachedLoss(self.config, self.sparse_encoder)

    def module(self) -> Any:
        """The whole encoder."""
        return self.sparse_encoder

    def documents(self, texts: list[str], wanted: Tensor) -> Documents:
        """Represent texts; ``wanted`` entries ``[V]`` get a gradient even at weight 0."""
        import torch
        from torch.nn.functional import softplus

        ids, mask = self._tensors(self._tokenizer, texts)
        logits = self._best_logits(ids, mask)
        activate = ACTIVATE[self.config.splade.activation]
        weights = activate(logits) * self._keep
        soft = softplus(logits)
        asleep = (logits <= 0) & wanted & (self._keep > 0)
        surrogate = torch.where(asleep, soft - soft.detach(), torch.zeros_like(soft))
        own = torch.zeros_like(weights).scatter_add(1, ids, mask.to(weights.dtype)) * self._keep > 0
        return Documents(weights, weights + surrogate, weights, own)

    def queries(self, texts: list[str]) -> Tensor:
        """Represent queries by the table, or by the model itself, ``[Q, V]``."""
        import torch

        if self._queries is None:
            nothing = torch.zeros(len(self._keep), dtype=torch.bool, device=self.device)
            return self.documents(texts, nothing).weights
        ids, mask = self._tensors(self._query_tokenizer, texts)
        zeros = self._keep.new_zeros((len(ids), len(self._keep)))
        presence = zeros.scatter_add(1, ids, mask.to(zeros.dtype)) > 0
        return presence * self._table() * self._keep

    def use_corpus(self, corpus: Path | None) -> None:
        """The query weights are the model's own, whatever the corpus."""

    def idf(self) -> Tensor:
        """The query table, as the inverse document frequency of each entry."""
        if self._queries is None:
            return self._keep
        return self._table().detach()

    def encoder(self) -> SpladeEncoder:
        """The encoder of this moment; the module must be in evaluation mode."""
        graph = sparse_graph(
            self._documents.auto_model, self.model.settings.graph, self.model.silent_ids()
        )
        runner = TorchRunner(graph.to(self.device), self.device)
        weights = None
        if self._queries is not None:
            weights = (self._table() * self._keep).detach().float().cpu().numpy()
        model = replace(self.model, query_weights=weights)
        plan = GPU_PLAN if runner.accelerated else CPU_PLAN
        return SpladeEncoder(model, runner, plan=plan)

    def save(self, folder: Path) -> None:
        """Write a model folder of Sentence Transformers."""
        self.sparse_encoder.save_pretrained(str(folder), create_model_card=False)

    def after_step(self) -> None:
        """Query weights stay positive."""
        import torch

        if self._queries is not None and self._queries.weight.requires_grad:
            with torch.no_grad():
                self._queries.weight.clamp_(min=0.0)

    def parameter_groups(self, rates: Mapping[str, float], weight_decay: float) -> list[Any]:
        """The network, and the query table where it is learned."""
        network = list(self._documents.parameters())
        groups = [{"params": network, "lr": rates["backbone"], "weight_decay": weight_decay}]
        if self._queries is not None:
            learned = self.config.splade.query_table == "learned"
            self._queries.weight.requires_grad_(learned)
            if learned:
                rate = rates["queries"] or rates["backbone"]
                group = {"params": [self._queries.weight], "lr": rate, "weight_decay": 0.0}
                groups.append(group)
        return groups

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        limit = self.config.training.max_tokens or self.model.settings.text.max_tokens
        tokenizer = self.model.tokenizer
        return replace(tokenizer, max_tokens=min(limit, tokenizer.max_tokens))

    @cached_property
    def _query_tokenizer(self) -> TextTokenizer:
        return replace(self.model.tokenizer, special_tokens=False)

    def _table(self) -> Tensor:
        """Query weights, one for each output of the network."""
        from torch.nn.functional import pad

        table: Any = self._queries
        return pad(table.weight, (0, len(self._keep) - len(table.weight)))

    def _tensors(self, tokenizer: TextTokenizer, texts: list[str]) -> tuple[Tensor, Tensor]:
        import torch

        batch = tokenizer.pad(tokenizer.token_ids(texts))
        ids, mask = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
        return ids.to(self.device), mask.to(self.device)

    def _best_logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Largest logit of each entry over the positions, without all logits in memory."""
        network = self._documents.auto_model
        decoder = network.get_output_embeddings()
        with bypassed(decoder):
            states = network(input_ids=ids, attention_mask=mask).logits
        return max_match(states, mask, decoder.weight, decoder.bias)


@contextmanager
def bypassed(layer: Any) -> Iterator[None]:
    """Let a layer hand through what it is given."""
    layer.forward = lambda states: states
    try:
        yield
    finally:
        del layer.forward


def build_splade(config: SparseConfig, start: Path, device: str) -> SpladeStudent:
    """The untrained student; its folder is written once and taken up by a resumed run.

    Raises:
        EncoderError: The model cannot be loaded, or has no masked-language head.
    """
    from sentence_transformers import SparseEncoder

    from training.run_folder import replacing_folder

    if not start.exists():
        with replacing_folder(start) as folder:
            write_splade(config, folder)
    options = LoadOptions(trust_remote_code=config.trust_remote_code)
    encoder = SparseEncoder(
        str(start), device=device, trust_remote_code=config.trust_remote_code, local_files_only=True
    )
    return SpladeStudent(config, read_model(str(start), options, "sparse"), encoder, device)
