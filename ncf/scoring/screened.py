"""Rank by the screened graph: a cheap guess picks candidates, which alone are scored exactly."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ncf.devices import Device
from ncf.errors import UsageError
from ncf.scoring.blocks import BlockRanker, Feeds
from ncf.scoring.bundle import SCREEN_GRAPH, Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.ranker import Pairs, TopK, UserRows
from ncf.scoring.rescorer import require_screen
from ncf.scoring.screen_manifest import Calibrated, Screen
from ncf.scoring.sessions import EXACT, CudaOptions, open_session

# Users of one call: their guesses take at most 16 MiB, and the candidates' first layer 2 MiB.
# Larger blocks keep a GPU busy, 1 GiB of each at most (docs/gpu.md), and are halved until they fit.
_USERS, _LOGITS, _VALUES = 128, 1 << 22, 1 << 19
_GPU_USERS, _GPU_LOGITS, _GPU_VALUES = 1024, 1 << 28, 1 << 28


@dataclass(frozen=True)
class Calibration:
    """The number of items that a screen must score exactly, by the length of the lists.

    Parameters
    ----------
    lists : tuple of Calibrated
        Entries by ascending length.
    width : float
        Factor on the calibrated number of candidates.

    Examples
    --------
    >>> of_ten = Calibrated(10, candidates=50, recall=1.0, recall_bound=0.999, estimated_gain=9.0)
    >>> calibration = Calibration((of_ten,))
    >>> calibration.candidates(10)
    50
    >>> calibration.find(11) is None
    True
    """

    lists: tuple[Calibrated, ...]
    width: float = 1.0

    @classmethod
    def of(cls, bundle: Bundle) -> "Calibration":
        """Read what export found; no list is calibrated where the bundle has no screen."""
        screen = bundle.manifest.screen
        return cls(screen.by_k if isinstance(screen, Screen) else ())

    def find(self, k: int) -> Calibrated | None:
        """Find the entry for the shortest calibrated lists of K or more items; None if none is."""
        return next((each for each in self.lists if k <= each.k), None)

    def candidates(self, k: int) -> int:
        """Count the items to score exactly for each user, for lists of K.

        Raises
        ------
        UsageError
            The screen is not calibrated for lists of this length.
        """
        found = self.find(k)
        if found is None:
            raise UsageError(
                f"the screen is not calibrated for k = {k}", remedy="rank with the exact graph"
            )
        return round(self.width * found.candidates)


class ScreenedRanker(BlockRanker):
    """Ranks with the screened graph: scores are exact, but a list may miss an item.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Session of the graph.
    rows : UserRows
        One row a user, as the graph takes them: float32 ``(users, d)``, maybe a memory map.
    eligibility : Eligibility
        Says what may be listed.
    calibration : Calibration
        Says how many candidates are enough.
    where : Path, optional
        Origin of the graph, for messages.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        rows: UserRows,
        eligibility: Eligibility,
        calibration: Calibration,
        where: Path | None = None,
    ) -> None:
        super().__init__(session, rows, eligibility, where)
        self._calibration = calibration
        self._exact: ExactRanker | None = None
        self._before = 0.0
        # Bundles of earlier versions have a graph that can neither skip nor say its margin.
        self._skips = any(each.name == "skip" for each in session.get_inputs())
        if self._skips:
            self._outputs = [*self._outputs, "margin"]

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device = Device.CPU,
        threads: int = 0,
        eligibility: Eligibility | None = None,
        cuda: CudaOptions = EXACT,
    ) -> "ScreenedRanker":
        """Open a bundle's graph on a device with a number of threads; 0 takes every core.

        If ``eligibility`` is not given, all items are eligible but those seen at the export.

        Raises
        ------
        ArtifactError
            The bundle has no screen.
        CapabilityError
            CUDA was asked for and is not available.
        """
        require_screen(bundle)
        session = open_session(lambda _: bundle.path / SCREEN_GRAPH, device, threads, cuda)
        eligibility = eligibility or bundle.eligibility
        return cls(session, bundle.user_rows, eligibility, Calibration.of(bundle), bundle.path)

    def backed_by(self, exact: ExactRanker) -> "ScreenedRanker":
        """Make a ranker that ranks exactly whom the screen may have given a wrong list.

        These are the users whose margin is lower than the calibration trusts.
        """
        return self._copy(self._calibration, exact)

    def widened(self, width: float) -> "ScreenedRanker":
        """Make a ranker on the same session with ``width`` times as many candidates."""
        return self._copy(replace(self._calibration, width=width), self._exact)

    def beyond(self, width: float) -> "ScreenedRanker":
        """Make a ranker that leaves out the candidates that one of a lower width has scored.

        :func:`merged` joins both lists. A graph of an earlier version scores all again.
        """
        later = self._copy(self._calibration, None)
        later._before = width
        return later

    def _copy(self, calibration: Calibration, exact: ExactRanker | None) -> "ScreenedRanker":
        ranker = ScreenedRanker(
            self._session, self._rows, self.eligibility, calibration, self._where
        )
        ranker._exact = exact
        return ranker

    def candidates(self, k: int) -> int:
        """Count the items that are scored exactly for each user, for lists of K.

        Raises
        ------
        UsageError
            The screen is not calibrated for lists of this length.
        """
        return min(self.eligibility.n_items, self._calibration.candidates(k))

    def _users_at_once(self, k: int) -> int:
        values = self.candidates(k) * int(self._rows.shape[1])
        most = _USERS, _LOGITS, _VALUES
        if self.device is Device.CUDA:
            most = _GPU_USERS, _GPU_LOGITS, _GPU_VALUES
        return max(1, min(most[0], most[1] // self.eligibility.n_items, most[2] // values))

    def _feeds(self, rows: npt.NDArray[np.float32], excluded: Pairs, k: int) -> Feeds:
        feeds = super()._feeds(rows, excluded, k)
        numbers = {"candidates": self.candidates(k)}
        if self._skips:
            skip = self._skip(k)
            numbers |= {"skip": skip, "scored": numbers["candidates"] - skip}
        return {**feeds, **{n: np.array([value], np.int64) for n, value in numbers.items()}}

    def _skip(self, k: int) -> int:
        """Count the candidates that were scored before, but leave at least K."""
        n_items = self.eligibility.n_items
        before = replace(self._calibration, width=self._before).candidates(k)
        return max(0, min(before, self.candidates(k) - min(k, n_items))) if self._before else 0

    def _checked(
        self,
        found: TopK,
        rest: list[npt.NDArray[np.float32]],
        rows: npt.NDArray[np.float32],
        excluded: Pairs,
    ) -> TopK:
        """Rank exactly whom the screen may have given a wrong list."""
        k = found.items.shape[1]
        calibrated = self._calibration.find(k)
        if self._exact is None or calibrated is None or calibrated.least_margin is None:
            return found
        (hard,) = np.nonzero(rest[0] < calibrated.least_margin)
        if not hard.size:
            return found
        theirs = excluded[np.isin(excluded[:, 0], hard)]
        theirs[:, 0] = np.searchsorted(hard, theirs[:, 0])
        better = self._exact.rank_rows(rows[hard], theirs, k)
        found.items[hard], found.scores[hard] = better.items, better.scores
        return found


def merged(found: TopK, later: TopK) -> TopK:
    """Merge two lists of each user, best first, ties by ascending index; repeats count once."""
    k = found.items.shape[1]
    known = (later.items[:, :, None] == found.items[:, None, :]) & found.valid()[:, None, :]
    scores = np.where(known.any(axis=2), -np.inf, later.scores)
    items = np.concatenate([found.items, later.items], axis=1)
    scores = np.concatenate([found.scores, scores], axis=1)
    order = np.lexsort((items, -scores), axis=1)[:, :k]
    return TopK(np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1))
