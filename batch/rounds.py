"""Screen and audit a shard in rounds, each of which uses what the rounds before it have found.

A round draws further pairs, or adds further candidates, or both. What later rounds need of the
earlier ones is small: the lists, and the pairs that were drawn and are missed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from zipfile import BadZipFile

import numpy as np

from ncf.proof.audit import Missed
from ncf.proof.recall import PairSample
from ncf.scoring.ranker import TopK

PHASES = ("score", "audit", "write")
_SAMPLE = ("drawn", "missed", "population", "listed")


@dataclass(frozen=True)
class Round:
    """A round of screening and audit.

    Parameters
    ----------
    width : float
        Factor on the calibrated candidates; no lower than that of the round before.
    each : float
        Pairs to draw for each user; below 1, the share of users for whom one pair is drawn.
    seed : int
        Draws the pairs.
    """

    width: float
    each: float
    seed: int


@dataclass(frozen=True)
class Found:
    """What the rounds so far have found for the users of a shard.

    Parameters
    ----------
    top : TopK
        Their lists.
    missed : Missed
        Pairs drawn so far that these lists miss.
    samples : tuple of PairSample
        Counts of all pairs drawn up to each round, against the lists of that round.
    seconds : mapping
        Seconds that all rounds took, by phase.
    """

    top: TopK
    missed: Missed
    samples: tuple[PairSample, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def content(self) -> bytes:
        """Write it, for later rounds."""
        content = BytesIO()
        np.savez(
            content,
            allow_pickle=False,
            items=self.top.items.astype(np.int32),
            scores=self.top.scores,
            samples=np.array([[getattr(s, n) for n in _SAMPLE] for s in self.samples], np.float64),
            seconds=np.array([self.seconds.get(phase, 0.0) for phase in PHASES]),
            **{f"missed_{name}": array for name, array in self.missed._asdict().items()},
        )
        return content.getvalue()

    @classmethod
    def read(cls, content: bytes, rounds: int) -> "Found | None":
        """Read it back; None if it is damaged, or not of so many rounds."""
        try:
            with np.load(BytesIO(content), allow_pickle=False) as arrays:
                top = TopK(arrays["items"].astype(np.int64), arrays["scores"])
                missed = Missed(*(arrays[f"missed_{name}"] for name in Missed._fields))
                samples = tuple(
                    PairSample(drawn, *map(int, counts))
                    for drawn, *counts in arrays["samples"].tolist()
                )
                seconds = dict(zip(PHASES, arrays["seconds"].tolist(), strict=True))
        except (OSError, ValueError, KeyError, TypeError, BadZipFile):
            return None
        return cls(top, missed, samples, seconds) if len(samples) == rounds else None
