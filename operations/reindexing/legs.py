"""Which legs of an index are encoded anew, and which are copied as they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from encoders.base import DenseEncoder, EncoderIdentity, SparseEncoder, stamp_of
from encoders.lexical import NAME as LEXICAL
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.pruning import NO_PRUNING, Pruning
from ingest.pipeline import Encoders
from opensearch.encoder_store import load_state, save_state
from opensearch.index_info import IndexInfo, check_encoder
from opensearch.workflows.query_encoders import changed_options, stored_options
from operations.reindexing.errors import ReindexError
from operations.reindexing.job import NONE, Loaders, ReindexJob

LegName = Literal["dense", "sparse"]

# What an option changes; the two that are not named here change both.
_ONLY: Mapping[str, LegName] = {
    "dimension": "dense",
    "pooling": "dense",
    "query_prompt": "dense",
    "document_prompt": "dense",
    "top_k": "sparse",
    "prune_ratio": "sparse",
    "activation": "sparse",
}


@dataclass(frozen=True)
class Legs:
    """The encoders of a new index, beside those of the old one.

    Attributes:
        before: The old index.
        dense: Identity of the new dense encoder, if there is one.
        sparse: The same for the sparse encoder.
        new: The encoders of the legs that are encoded anew.
        load_kept: Loads the encoders of the legs that are copied: a document that another client
            wrote says nothing of its vectors' encoder, so even those are encoded.
        options: Options that change what an encoder gives, to be kept with the index.
    """

    before: IndexInfo
    dense: EncoderIdentity | None
    sparse: EncoderIdentity | None
    new: Encoders
    load_kept: Callable[[], Encoders]
    options: Mapping[str, Any]

    @property
    def stamp(self) -> str:
        """What each document says of its encoders."""
        return stamp_of(self.dense, self.sparse)

    @property
    def stamp_before(self) -> str:
        """What the documents of the old index should say."""
        return stamp_of(self.before.dense, self.before.sparse)

    @property
    def changed(self) -> bool:
        """Whether the encoders are others than before."""
        return self.stamp != self.stamp_before

    def kept(self, leg: LegName) -> bool:
        """Whether a leg is copied as it is."""
        return getattr(self, leg) is not None and getattr(self.new, leg) is None

    @cached_property
    def all(self) -> Encoders:
        """Both encoders, whether their legs are kept or not."""
        return _with(self.new, self.load_kept())


def _with(some: Encoders, others: Encoders) -> Encoders:
    return Encoders(some.dense or others.dense, some.sparse or others.sparse)


def plan_legs(client: Any, info: IndexInfo, job: ReindexJob) -> Legs:
    """Load what has to be loaded and decide what is kept.

    Raises:
        EncoderError: A model cannot be loaded.
        EncoderMismatchError: A kept encoder, loaded with the new options, is another one.
        ReindexError: The index has no word statistics for the lexical encoder.
    """
    asked = {"dense": job.dense, "sparse": job.sparse}
    kept = {leg for leg, model in asked.items() if model is None and getattr(info, leg)}
    options = _options(info, job.load, kept)
    dense = _load_dense(job, options)
    sparse = _load_sparse(client, info, job, options)
    identities = {
        "dense": _identity(info.dense, dense, job.dense),
        "sparse": _identity(info.sparse, sparse, job.sparse),
    }
    legs = Legs(
        before=info,
        **identities,
        new=Encoders(
            None if dense is None or _same(info.dense, identities["dense"]) else dense,
            None if sparse is None or _same(info.sparse, identities["sparse"]) else sparse,
        ),
        load_kept=lambda: _with(Encoders(dense, sparse), _load_kept(client, info, job, options)),
        options=changed_options(options),
    )
    if legs.options != info.notes.get("encoder_options", {}) and kept:
        legs.load_kept()  # what is kept must still be what it was
    return legs


def legs_to(
    client: Any, before: IndexInfo, after: IndexInfo, load: LoadOptions, loaders: Loaders
) -> Legs:
    """The legs that documents of one index need in another that stands already.

    Raises:
        EncoderError: A model of the other index cannot be loaded.
        EncoderMismatchError: It has changed since.
    """
    options = stored_options(after, load)
    found = {
        leg: None
        if _same(getattr(before, leg), getattr(after, leg))
        else load_encoder(client, getattr(after, leg), options, loaders)
        for leg in ("dense", "sparse")
    }
    for leg, encoder in found.items():
        check_encoder(getattr(after, leg), encoder.identity if encoder else None, after.name)
    return Legs(
        before=before,
        dense=after.dense,
        sparse=after.sparse,
        new=Encoders(**found),
        load_kept=lambda: Encoders(
            load_encoder(client, after.dense, options, loaders),
            load_encoder(client, after.sparse, options, loaders),
        ),
        options=changed_options(options),
    )


def load_encoder(
    client: Any, identity: EncoderIdentity | None, options: LoadOptions, loaders: Loaders
) -> Any:
    """The encoder of an identity; a lexical one is read from the cluster."""
    if identity is None:
        return None
    if identity.kind == "dense":
        return loaders.dense(identity.model, options)
    if identity.model == LEXICAL:
        return LexicalEncoder.from_state(load_state(client, identity.fingerprint))
    return loaders.sparse(identity.model, options)


def _options(info: IndexInfo, given: LoadOptions, kept: set[str]) -> LoadOptions:
    """The given options, completed by those of the old index that concern a kept leg."""
    stored = info.notes.get("encoder_options", {})
    concerned = {name: v for name, v in stored.items() if _ONLY.get(name) in kept}
    if kept:
        concerned |= {name: v for name, v in stored.items() if name not in _ONLY}
    return stored_options(replace(info, notes={"encoder_options": concerned}), given)


def _load_dense(job: ReindexJob, options: LoadOptions) -> DenseEncoder | None:
    return None if job.dense in (None, NONE) else job.loaders.dense(job.dense, options)


def _load_sparse(
    client: Any, info: IndexInfo, job: ReindexJob, options: LoadOptions
) -> SparseEncoder | None:
    if job.sparse in (None, NONE):
        return None
    return (
        _lexical(client, info, options)
        if job.sparse == LEXICAL
        else job.loaders.sparse(job.sparse, options)
    )


def _lexical(client: Any, info: IndexInfo, options: LoadOptions) -> LexicalEncoder:
    """The word statistics of the corpus, as they were counted when it was indexed."""
    fingerprint = info.notes.get("word_statistics")
    if fingerprint is None:
        msg = (
            f"The index {info.name!r} keeps no word statistics, which the lexical encoder is made "
            "of. Choose another sparse model, or index the corpus again with `tandem index`."
        )
        raise ReindexError(msg)
    words = LexicalEncoder.from_state(load_state(client, fingerprint))
    pruning = Pruning(options.top_k, options.prune_ratio)
    if pruning == NO_PRUNING:
        return words
    pruned = replace(words, pruning=pruning)
    save_state(client, pruned.identity.fingerprint, LEXICAL, pruned.state())
    return pruned


def _identity(
    before: EncoderIdentity | None,
    encoder: DenseEncoder | SparseEncoder | None,
    asked: str | None,
) -> EncoderIdentity | None:
    if asked is None:
        return before
    if encoder is None:
        return None
    found = encoder.identity
    # A model tuned on the query side alone searches the documents of its base.
    return replace(found, fingerprint=found.documents or found.fingerprint, documents=None)


def _same(before: EncoderIdentity | None, after: EncoderIdentity | None) -> bool:
    return bool(before and after and before.fingerprint == after.fingerprint)


def _load_kept(client: Any, info: IndexInfo, job: ReindexJob, options: LoadOptions) -> Encoders:
    dense = info.dense if job.dense is None else None
    sparse = info.sparse if job.sparse is None else None
    found = Encoders(
        load_encoder(client, dense, options, job.loaders),
        load_encoder(client, sparse, options, job.loaders),
    )
    for expected, encoder in ((dense, found.dense), (sparse, found.sparse)):
        check_encoder(expected, encoder.identity if encoder else None, info.name)
    return found
