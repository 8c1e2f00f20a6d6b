"""What a static training run can be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from training.config import DataSettings, Section
from training.static.tokenizer import TokenizerKind

Leg = Literal["dense", "sparse"]


class StaticData(DataSettings):
    """Training and dev sets, and what the vocabulary is made from.

    Attributes:
        corpus: Further BEIR folders whose documents shape vocabulary and start.
        max_documents: Documents of one set that are read, at most.
    """

    corpus: tuple[Path, ...] = ()
    max_documents: int = Field(default=200_000, ge=1)


class DenseLeg(Section):
    """The dense model.

    Attributes:
        tokenizer: Pieces of a Unigram model, or overlapping pairs of characters.
        vocabulary: Entries of its vocabulary, at most.
    """

    tokenizer: TokenizerKind = "unigram"
    vocabulary: int = Field(default=16_000, ge=64)


class SparseLeg(Section):
    """The sparse model.

    Attributes:
        tokenizer: Pieces of a Unigram model, or overlapping pairs of characters.
        vocabulary: Entries of its vocabulary, at most.
        top_k: Entries of a document's vector, at most.
        expansion_rank: Expansion starts where the word of this rank of a document is.
        gamma: Weight of the expansion at the start.
        strengths: Shares of what was learned of which the best on the dev sets is taken; 0 is
            BM25 over the tokens.
    """

    tokenizer: TokenizerKind = "bigram"
    vocabulary: int = Field(default=40_000, ge=64)
    top_k: int = Field(default=150, ge=1)
    expansion_rank: int = Field(default=70, ge=1)
    gamma: float = Field(default=0.3, gt=0)
    strengths: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), min_length=1
    )


class ModelSettings(Section):
    """What is trained.

    Attributes:
        legs: ``dense``, ``sparse`` or both.
        width: Components of a token's vector.
        max_tokens: Tokens of a document that are read, in training and later.
        dense: The dense model.
        sparse: The sparse model.
    """

    legs: tuple[Leg, ...] = Field(default=("dense", "sparse"), min_length=1)
    width: int = Field(default=256, ge=2)
    max_tokens: int = Field(default=1024, ge=2)
    dense: DenseLeg = DenseLeg()
    sparse: SparseLeg = SparseLeg()


class TrainingSettings(Section):
    """How it is trained.

    Attributes:
        steps: Batches for each leg.
        batch_size: Queries of a batch; each brings a positive and a negative.
        learning_rate: Of token vectors.
        weight_learning_rate: Of the weights of single tokens.
        warmup: Share of the steps over which the rate rises; then it falls along a cosine.
        scale: Factor on cosines before the softmax.
        temperature: Divisor of sparse scores before the softmax.
        dense_weight: Share of the dense loss in the training of the sparse model.
        anchor: Pull of the sparse model's token weights towards BM25's.
        token_drop: Share of tokens left out of a text's mean while training.
        hard_negatives: A negative is drawn from so many best documents by BM25.
        evaluate_every: Steps between measurements on the dev sets.
        seed: Of everything that is drawn.
        threads: Threads of one operation; by default all cores.
    """

    steps: int = Field(default=1_000, ge=0)
    batch_size: int = Field(default=48, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_learning_rate: float = Field(default=5e-3, gt=0)
    warmup: float = Field(default=0.05, ge=0, le=1)
    scale: float = Field(default=20.0, gt=0)
    temperature: float = Field(default=1.5, gt=0)
    dense_weight: float = Field(default=0.5, ge=0)
    anchor: float = Field(default=0.0, ge=0)
    token_drop: float = Field(default=0.15, ge=0, lt=1)
    hard_negatives: int = Field(default=20, ge=1)
    evaluate_every: int = Field(default=250, ge=1)
    seed: int = 0
    threads: int | None = Field(default=None, ge=1)


class StaticConfig(Section):
    """A static training run.

    Attributes:
        output: Folder of the run.
        data: What it learns from and is measured on.
        model: What is trained.
        training: How.
    """

    output: Path
    data: StaticData
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
