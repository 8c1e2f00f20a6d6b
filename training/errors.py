"""What can go wrong in training and evaluation."""


class TrainingError(Exception):
    """A run cannot start or go on; the message says how to mend it."""


class EvaluationError(TrainingError):
    """Queries, judgements or runs that cannot be evaluated."""
