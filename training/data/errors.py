"""What can be wrong with training data."""

from collections.abc import Sequence

from training.errors import TrainingError

MAX_FAULTS = 20


class TrainingDataError(TrainingError):
    """Training data that cannot be used; the message lists its faults by file and line.

    Attributes:
        faults: One line for each, ``file:line: what is wrong``.
    """

    def __init__(self, faults: Sequence[str], *, more: bool = False) -> None:
        self.faults = tuple(faults)
        count = f"{'at least ' if more else ''}{len(self.faults)}"
        noun = "fault" if len(self.faults) == 1 else "faults"
        listed = "\n  ".join(self.faults)
        super().__init__(f"{count} {noun} in the training data:\n  {listed}")


class FaultList:
    """Collects faults, so that a file is mended in one go and not line by line."""

    def __init__(self, limit: int = MAX_FAULTS) -> None:
        self._limit = limit
        self._faults: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, where: str, what: str) -> None:
        """Note a fault.

        Raises:
            TrainingDataError: It was the last one worth listing.
        """
        self._faults.append(f"{where}: {what}")
        if len(self._faults) >= self._limit:
            raise TrainingDataError(self._faults, more=True)

    def raise_if_any(self) -> None:
        """Raise what was collected.

        Raises:
            TrainingDataError: There is at least one fault.
        """
        if self._faults:
            raise TrainingDataError(self._faults)
