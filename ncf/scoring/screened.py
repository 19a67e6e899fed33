"""Top-K by the screened graph: candidates by a cheap guess, and exact scores for those alone."""

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
from ncf.scoring.ranker import Pairs, Users
from ncf.scoring.sessions import EXACT, CudaOptions, device_of, failed_on_cuda, open_session

# Users of one call: its guesses take 16 MiB here at most, and the candidates' first layer 4 MiB.
_USERS, _LOGITS, _VALUES = 128, 1 << 22, 1 << 20
_RESCORED_VALUES = 1 << 18  # of a call: what stays in a core's cache


@dataclass(frozen=True)
class Calibrated:
    """What export found to be enough for lists up to a length.

    Parameters
    ----------
    k : int
        Length of the lists.
    candidates : int
        Items a user to score exactly.
    recall : float
        Of held-out users' exact lists.
    """

    k: int
    candidates: int
    recall: float


@dataclass(frozen=True)
class Calibration:
    """How many items a screen must score exactly, by the length of the lists.

    Parameters
    ----------
    lists : tuple of Calibrated
        By ascending length.
    width : float
        Times the calibrated number of candidates beyond K.
    """

    lists: tuple[Calibrated, ...]
    width: float = 1.0

    @classmethod
    def of(cls, bundle: Bundle) -> "Calibration":
        """Read what export found; no list is calibrated where the bundle has no screen."""
        by_k = bundle.manifest["screen"]["by_k"] if bundle.has_screen else ()
        return cls(
            tuple(Calibrated(each["k"], each["candidates"], each["recall"]) for each in by_k)
        )

    def find(self, k: int) -> Calibrated | None:
        """Look up the shortest calibrated lists that hold K items; None where there are none."""
        return next((each for each in self.lists if k <= each.k), None)

    def candidates(self, k: int) -> int:
        """Items a user to score exactly for lists of K.

        Raises
        ------
        UsageError
            The screen is not calibrated for lists so long.
        """
        found = self.find(k)
        if found is None:
            raise UsageError(
                f"the screen is not calibrated for k = {k}", remedy="rank with the exact graph"
            )
        return round(found.k + self.width * (found.candidates - found.k))


class ScreenedRanker(BlockRanker):
    """Ranks with the screened graph; scores are exact, an item may be missed.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The graph, open.
    rows : float32 array of shape (users, d)
        A row a user, as the graph takes them; may be a memory map.
    eligibility : Eligibility
        What may be listed.
    calibration : Calibration
        How many candidates are enough.
    where : Path, optional
        What the graph was made from, for messages.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        rows: npt.NDArray[np.float32],
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
        """Open a bundle's graph on a device, with so many threads; 0 takes every core.

        If ``eligibility`` is not given, users get what they had not seen at the export.

        Raises
        ------
        ArtifactError
            The bundle has no screen.
        CapabilityError
            CUDA was asked for and cannot be had.
        """
        _require_screen(bundle)
        session = open_session(lambda _: bundle.path / SCREEN_GRAPH, device, threads, cuda)
        eligibility = eligibility or bundle.eligibility
        return cls(session, bundle.user_rows, eligibility, Calibration.of(bundle), bundle.path)

    def widened(self, width: float) -> "ScreenedRanker":
        """Share the session, and score ``width`` times as many candidates beyond K."""
        wider = replace(self._calibration, width=width)
        return ScreenedRanker(self._session, self._rows, self.eligibility, wider, self._where)

    def candidates(self, k: int) -> int:
        """Items a user that are scored exactly for lists of K.

        Raises
        ------
        UsageError
            The screen is not calibrated for lists so long.
        """
        return min(self.eligibility.n_items, self._calibration.candidates(k))

    def _users_at_once(self, k: int) -> int:
        values = self.candidates(k) * int(self._rows.shape[1])
        return max(1, min(_USERS, _LOGITS // self.eligibility.n_items, _VALUES // values))

    def _feeds(self, users: Users, excluded: Pairs, k: int) -> Feeds:
        feeds = super()._feeds(users, excluded, k)
        return {**feeds, "candidates": np.array([self.candidates(k)], np.int64)}


class Rescorer:
    """Scores given items of given users exactly, with the arithmetic of the screened graph.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        ``rescore.onnx``, open.
    rows : float32 array of shape (users, d)
        A row a user, as the graph takes them; may be a memory map.
    n_items : int
        Size of the catalogue.
    """

    def __init__(
        self, session: ort.InferenceSession, rows: npt.NDArray[np.float32], n_items: int
    ) -> None:
        self._session = session
        self._rows = rows
        self._n_items = n_items

    @classmethod
    def open(cls, bundle: Bundle, device: Device = Device.CPU, threads: int = 0) -> "Rescorer":
        """Open a bundle's graph on a device, with so many threads; 0 takes every core.

        Raises
        ------
        ArtifactError
            The bundle has no screen.
        CapabilityError
            CUDA was asked for and cannot be had.
        """
        _require_screen(bundle)
        session = open_session(lambda _: bundle.path / RESCORE_GRAPH, device, threads)
        return cls(session, bundle.user_rows, bundle.n_items)

    def score(self, users: Users, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Logits of each user's own items.

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
        most = max(1, _RESCORED_VALUES // self._rows.shape[1])  # pairs of a call
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
        except Exception as error:  # ONNX Runtime raises its own bare classes
            if device_of(self._session) is not Device.CUDA:
                raise
            raise failed_on_cuda(error, len(rows)) from error
        found: npt.NDArray[np.float32] = logits
        return found


def _require_screen(bundle: Bundle) -> None:
    if not bundle.has_screen:
        reason = bundle.manifest["screen"]["reason"]
        raise ArtifactError(
            f"has no screened graph ({reason})", where=bundle.path, remedy="rank exactly"
        )
