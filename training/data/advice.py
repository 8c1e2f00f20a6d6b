"""What to do with little data, said before time is spent on training."""

FEW = 1_000


def advice(pairs: int) -> list[str]:
    """Sentences for a data set of so many pairs of query and relevant text; none if it is enough.

    Args:
        pairs: Pairs in the training part.
    """
    if pairs >= FEW:
        return []
    return [
        f"{pairs:,} training pairs; below {FEW:,} a tuned model often learns the pairs rather than "
        "the domain. What helps, cheapest first:",
        "write queries for documents that have none (tandem synthesize), and check a sample by eye",
        "mine three to five hard negatives per query (tandem mine): each pair then teaches more",
        "mix in a general set (--mix FILE=0.3) and start from a model of the same language",
        "train less of the model: LoRA of a low rank, the query side only, or a static encoder",
        "or do not tune: fit the fusion of a hybrid index instead (tandem tune)",
    ]
