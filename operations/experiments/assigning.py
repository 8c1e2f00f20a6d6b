"""Who sees which arm: a hash decides, so nothing is stored and every server agrees."""

import hashlib
from typing import Literal

from operations.experiments.experiment import Experiment

ArmName = Literal["A", "B"]
Group = Literal["A", "B", "interleaved"]
_RANGE = 2.0**64


def unit_of(salt: str, experiment: str, key: str) -> float:
    """Where a user or session lies in ``[0, 1)``, evenly and for good.

    SHA-256 of salt, experiment and key: independent between experiments, and of anything the key
    may mean.
    """
    digest = hashlib.sha256(f"{salt}\0{experiment}\0{key}".encode()).digest()
    # The last float below 1 for the few digests that round up to it.
    return min(int.from_bytes(digest[:8]) / _RANGE, 1 - 2.0**-53)


def group_of(experiment: Experiment, key: str) -> Group:
    """What a user or session sees: the first part of the line sees B, or both interleaved.

    A larger share therefore moves users from A to B, and none back.
    """
    if unit_of(experiment.salt, experiment.name, key) >= experiment.share:
        return "A"
    return "interleaved" if experiment.method == "interleaving" else "B"
