"""Rank by the screened graph: a cheap guess picks candidates, which alone are scored exactly."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.scoring.blocks import BlockRanker, Feeds
from ncf.scoring.bundle import RESCORE_GRAPH, SCREEN_GRAPH, Bundle
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.ranker import Pairs, UserRows, Users
from ncf.scoring.screen_manifest import Calibrated, NoScreen, Screen
from ncf.scoring.sessions import EXACT, CudaOptions, device_of, failed_on_cuda, open_session

# Users of one call: their guesses take at most 16 MiB, and the candidates' first layer 4 MiB.
_USERS, _LOGITS, _VALUES = 128, 1 << 22, 1 << 20
_RESCORED_VALUES = 1 << 18  # in a call: as many as stay in a core's cache


@dataclass(frozen=True)
class Calibration:
    """The number of items that a screen must score exactly, by the length of the lists.

    Parameters
    ----------
    lists : tuple of Calibrated
        Entries by ascending length.
    width : float
        Factor on the calibrated number of candidates beyond K.

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
        return round(found.k + self.width * (found.candidates - found.k))


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
        _require_screen(bundle)
        session = open_session(lambda _: bundle.path / SCREEN_GRAPH, device, threads, cuda)
        eligibility = eligibility or bundle.eligibility
        return cls(session, bundle.user_rows, eligibility, Calibration.of(bundle), bundle.path)

    def widened(self, width: float) -> "ScreenedRanker":
        """Make a ranker on the same session with ``width`` times as many candidates beyond K."""
        wider = replace(self._calibration, width=width)
        return ScreenedRanker(self._session, self._rows, self.eligibility, wider, self._where)

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
        return max(1, min(_USERS, _LOGITS // self.eligibility.n_items, _VALUES // values))

    def _feeds(self, rows: npt.NDArray[np.float32], excluded: Pairs, k: int) -> Feeds:
        feeds = super()._feeds(rows, excluded, k)
        return {**feeds, "candidates": np.array([self.candidates(k)], np.int64)}


class Rescorer:
    """Scores given items of given users exactly, with the arithmetic of the screened graph.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Session of ``rescore.onnx``.
    rows : UserRows
        One row a user, as the graph takes them: float32 ``(users, d)``, maybe a memory map.
    n_items : int
        Size of the catalogue.
    """

    def __init__(self, session: ort.InferenceSession, rows: UserRows, n_items: int) -> None:
        self._session = session
        self._rows = rows
        self._n_items = n_items

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device = Device.CPU,
        threads: int = 0,
        rows: UserRows | None = None,
    ) -> "Rescorer":
        """Open a bundle's graph on a device with a number of threads; 0 takes every core.

        If ``rows`` are not given, they are the bundle's.

        Raises
        ------
        ArtifactError
            The bundle has no screen.
        CapabilityError
            CUDA was asked for and is not available.
        """
        _require_screen(bundle)
        session = open_session(lambda _: bundle.path / RESCORE_GRAPH, device, threads)
        return cls(session, bundle.user_rows if rows is None else rows, bundle.n_items)

    def score(self, users: Users, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Compute the logits of each user's own items.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices.
        items : int64 array of shape (n, c)
            Item indices.

        Raises
        ------
        IndexError
            An index is out of range.
        """
        for indices, size in ((users, len(self._rows)), (items, self._n_items)):
            if indices.size and not (indices.min() >= 0 and indices.max() < size):
                raise IndexError(f"index outside [0, {size})")
        logits = np.empty(items.shape, np.float32)
        most = max(1, _RESCORED_VALUES // self._rows.shape[1])  # pairs in a call
        wide = min(items.shape[1], most)
        step = max(1, min(_USERS, most // max(1, wide)))
        for start in range(0, users.size, step):
            part = slice(start, start + step)
            rows = np.ascontiguousarray(self._rows[users[part]])
            for first in range(0, items.shape[1], max(1, wide)):
                cut = (part, slice(first, first + wide))
                logits[cut] = self._run(rows, items[cut])
        return logits

    def _run(
        self, rows: npt.NDArray[np.float32], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        try:
            (logits,) = self._session.run(["logit"], {"rows": rows, "item": items})
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            if device_of(self._session) is not Device.CUDA:
                raise
            raise failed_on_cuda(error, len(rows)) from error
        found: npt.NDArray[np.float32] = logits
        return found


def _require_screen(bundle: Bundle) -> None:
    screen = bundle.manifest.screen
    if isinstance(screen, NoScreen):
        raise ArtifactError(
            f"has no screened graph ({screen.reason})", where=bundle.path, remedy="rank exactly"
        )
