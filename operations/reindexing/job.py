"""What a re-index is asked for, what it tells meanwhile, and what it did."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from encoders.base import DenseEncoder, SparseEncoder
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse
from opensearch.index_info import IndexInfo
from operations.reindexing.errors import ReindexError
from operations.reindexing.naming import check_version

NONE = "none"
KEPT_VERSIONS = 2

# May look at the new index and say why it must not be swapped in; `None` lets it pass.
Check = Callable[[Any, IndexInfo], str | None]
Stage = Literal["copying", "catching-up", "verifying", "checking", "blocked", "swapped"]


@dataclass(frozen=True, slots=True)
class Loaders:
    """How models are loaded: replaced where encoders are at hand already."""

    dense: Callable[[str, LoadOptions], DenseEncoder] = load_dense
    sparse: Callable[[str, LoadOptions], SparseEncoder] = load_sparse


@dataclass(frozen=True, slots=True)
class ReindexJob:
    """Build a new physical index from the stored texts of the current one, and swap it in.

    Attributes:
        index: Logical name: the alias that people search.
        version: Version of the models, part of the new index's name.
        dense: Dense model; ``None`` keeps the leg as it is (copied, not encoded), ``none`` drops
            it.
        sparse: Sparse model or ``lexical``; likewise.
        load: How models are loaded.
        rate: Most passages per second, or ``None`` for no limit.
        swap: ``False`` stops with a verified index that nobody searches yet; a later job swaps it.
        keep: How many old versions stay, the rollback target included.
        check: Called with the client and the new index before the swap; a text refuses.
        shards: Primary shards of the new index; by default as before.
        replicas: Copies of each shard; by default as before.
        rebuild: Build anew although the current index is of that version and these encoders.
        sample: How many passages are encoded again and compared before the swap.
        patience_s: How long a cluster that is away is waited for.
        loaders: How models are loaded.
    """

    index: str
    version: str
    dense: str | None = None
    sparse: str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)
    rate: float | None = None
    swap: bool = True
    keep: int = KEPT_VERSIONS
    check: Check | None = None
    shards: int | None = None
    replicas: int | None = None
    rebuild: bool = False
    sample: int = 64
    patience_s: float = 300.0
    loaders: Loaders = field(default_factory=Loaders)

    def __post_init__(self) -> None:
        check_version(self.version)
        if self.rate is not None and self.rate <= 0:
            msg = f"the rate must be above 0 passages per second, not {self.rate}"
            raise ReindexError(msg)
        if self.keep < 1:
            msg = "at least one old version is kept: the one a rollback returns to"
            raise ReindexError(msg)


@dataclass(frozen=True, slots=True)
class ReindexProgress:
    """Running totals of a build, over all of its runs.

    Attributes:
        copied: Passages written into the new index.
        total: Passages of the old one when the run began.
        encoded: Passages of them that an encoder read.
    """

    copied: int = 0
    total: int = 0
    encoded: int = 0


@dataclass(frozen=True, slots=True)
class ReindexEvents:
    """Where a job tells what it does.

    Attributes:
        stage: Called when a stage begins, with a line for people.
        progress: Called after every batch.
    """

    stage: Callable[[Stage, str], None] = lambda _, __: None
    progress: Callable[[ReindexProgress], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a re-index did.

    Attributes:
        index: Logical name.
        version: Version of the models.
        before: Physical index that was current when the job began.
        after: The new one.
        copied: Passages written into the new index by the build, over all its runs.
        encoded: Passages of them that an encoder read.
        caught_up: Passages of them that were written meanwhile.
        removed: Passages deleted meanwhile.
        verified: Passages that were encoded again and compared.
        swapped: Whether the alias was moved by this run.
        unchanged: Whether there was nothing to do.
        resumed: Whether an earlier run had begun the build.
        blocked_s: How long writes were refused before the swap.
        seconds: What this run took.
        dropped: Old versions that were deleted.
        warnings: What a person should know, each with a way on.
    """

    index: str
    version: str
    before: str
    after: str
    copied: int = 0
    encoded: int = 0
    caught_up: int = 0
    removed: int = 0
    verified: int = 0
    swapped: bool = False
    unchanged: bool = False
    resumed: bool = False
    blocked_s: float = 0.0
    seconds: float = 0.0
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values; ``from`` and ``to`` are the physical indices."""
        values = asdict(self)
        before, after = values.pop("before"), values.pop("after")
        lists = {name: list(values[name]) for name in ("dropped", "warnings")}
        return {"from": before, "to": after, **values, **lists}
