"""Screen and audit a shard in rounds, each of which uses what the rounds before it have found.

A round draws further pairs, or adds further candidates, or both. What later rounds need of the
earlier ones is small: the lists, and the pairs that were drawn and are missed.
"""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ncf.files import atomic_file
from ncf.proof.audit import Missed
from ncf.proof.recall import PairSample
from ncf.scoring.ranker import TopK

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
    """

    top: TopK
    missed: Missed
    samples: tuple[PairSample, ...]

    def keep(self, path: Path) -> None:
        """Write it to a file, for later rounds."""
        numbers = np.array([[getattr(s, n) for n in _SAMPLE] for s in self.samples], np.float64)
        arrays = {
            "items": self.top.items.astype(np.int32),
            "scores": self.top.scores,
            "samples": numbers,
            **{f"missed_{name}": array for name, array in self.missed._asdict().items()},
        }
        with atomic_file(path, clean=False) as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def kept(cls, path: Path, samples: tuple[PairSample, ...]) -> "Found | None":
        """Read it back; None if the file is missing, damaged, or not of these samples."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                top = TopK(arrays["items"].astype(np.int64), arrays["scores"])
                missed = Missed(*(arrays[f"missed_{name}"] for name in Missed._fields))
                numbers = arrays["samples"]
        except (OSError, ValueError, KeyError, BadZipFile):
            return None
        written = np.array([[getattr(s, n) for n in _SAMPLE] for s in samples], np.float64)
        return cls(top, missed, samples) if np.array_equal(numbers, written) else None
