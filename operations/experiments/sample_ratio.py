"""Do the arms have the users they should have? If not, believe nothing else in the report.

A mismatch means that users get lost in one arm: a failing arm, a slow one that people leave before
it is logged, a bot, a bug of the split (Fabijan et al., "Diagnosing sample ratio mismatch in online
controlled experiments", KDD 2019).
"""

from dataclasses import dataclass

# Strict, because it is asked at every look and a false alarm stops an experiment.
LEVEL = 0.001


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Users per arm against the share.

    Attributes:
        a: Users in arm A.
        b: Users in arm B, or with interleaved results.
        share: Share that B should have.
        p: Of the chi-square test that it has.
    """

    a: int
    b: int
    share: float
    p: float

    @property
    def mismatch(self) -> bool:
        """Whether the split cannot be what it should be."""
        return self.p < LEVEL


def sample_ratio(a: int, b: int, share: float) -> SampleRatio:
    """Chi-square test with one degree of freedom of the numbers of users.

    Args:
        a: Users in arm A.
        b: Users in arm B.
        share: Share that B should have; at 1, users in A are a mismatch by themselves.
    """
    from scipy.special import chdtrc

    total = a + b
    if not total or not 0 < share < 1:
        return SampleRatio(a, b, share, 0.0 if a and share >= 1 else 1.0)
    expected = total * share
    statistic = (b - expected) ** 2 / expected + (b - expected) ** 2 / (total - expected)
    return SampleRatio(a, b, share, float(chdtrc(1, statistic)))
