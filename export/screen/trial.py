"""Try a finished screen on users whose exact lists are known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.screen.calibration import Choice
from export.screen.sampling import ExactLogits
from ncf.graphs.tower import Floats
from ncf.proof.recall import recalls
from ncf.scoring.ranker import TopK
from ncf.scoring.sessions import open_cpu

_AT_ONCE = 64  # users


@dataclass(frozen=True)
class Measured:
    """Lists of one length of held-out users: recall by user, misses, entries, share doubted."""

    recalls: npt.NDArray[np.float64]
    missed: int
    entries: int
    hard: float

    def recall(self) -> float:
        """Mean over users."""
        return float(self.recalls.mean())


class Trial:
    """Runs the finished graph for users whose exact lists are known."""

    def __init__(
        self, graph: bytes, exact: ExactLogits, rows: Floats, seen: sparse.csr_array
    ) -> None:
        self._session = open_cpu(graph, threads=1)
        self._exact, self._rows, self._seen = exact, rows, seen

    def measure(self, choice: Choice, users: npt.NDArray[np.int64]) -> dict[int, Measured]:
        """Measure each length of list on users; those of a low margin count as ranked exactly."""
        found: dict[int, list[_Block]] = {k: [] for k in choice.needs}
        for at in range(0, users.size, _AT_ONCE):
            some = users[at : at + _AT_ONCE]
            logits = self._exact.complete(self._exact.tower(some), some)
            unseen = np.isfinite(logits).sum(axis=1)
            for k, needs in choice.needs.items():
                listed, margins = self._run(some, k, needs.candidates)
                values = _recalls_of(listed, logits, k)
                hard = margins < (-np.inf if needs.least_margin is None else needs.least_margin)
                found[k].append(_Block(np.where(hard, 1, values), np.minimum(unseen, k), hard))
        return {k: _summed(blocks) for k, blocks in found.items()}

    def _run(
        self, users: npt.NDArray[np.int64], k: int, candidates: int
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        n_items = self._seen.shape[1]
        length = min(k, n_items)
        feeds = {
            "rows": np.ascontiguousarray(self._rows[users]),
            "mask": np.zeros(n_items, np.float32),
            "seen": np.stack(self._seen[users].nonzero(), axis=1).astype(np.int64),
            "k": np.array([length], np.int64),
            "candidates": (count := np.array([min(max(length, candidates), n_items)], np.int64)),
            "skip": np.array([0], np.int64),
            "scored": count,
        }
        items, margins = self._session.run(["item", "margin"], feeds)
        return items, margins


class _Block(NamedTuple):
    """Recalls, lengths of the exact lists, and who is doubted, of a block of users."""

    recalls: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.int64]
    hard: npt.NDArray[np.bool_]


def _summed(blocks: list[_Block]) -> Measured:
    values, lengths, hard = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    missed = int(np.rint((1 - values) * lengths).sum())
    return Measured(values, missed, int(lengths.sum()), float(hard.mean()))


def _recalls_of(listed: npt.NDArray[np.int64], logits: Floats, k: int) -> npt.NDArray[np.float64]:
    """Compute each user's recall of listed items, by the exact logits over the catalogue."""
    best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(logits, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    exact = TopK(np.take_along_axis(best, order, axis=1), np.take_along_axis(scores, order, axis=1))
    return recalls(TopK(listed, np.take_along_axis(logits, listed, axis=1)), exact)
