"""Top-K by the screened graph: candidates by a cheap guess, and exact scores for those alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ncf.devices import Device
from ncf.errors import ArtifactError, UsageError
from ncf.scoring.bundle import RESCORE_GRAPH, SCREEN_GRAPH, Bundle
from ncf.scoring.exact import ExactRanker, Feeds
from ncf.scoring.ranker import Pairs
from ncf.scoring.sessions import open_session

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


class ScreenedRanker(ExactRanker):
    """Ranks with the bundle's screened graph; scores are exact, an item may be missed.

    Parameters
    ----------
    bundle : Bundle
        Has a screen.
    session : onnxruntime.InferenceSession
        Its graph, open.
    allowed : bool array of shape (items,), optional
        Items that may be listed; all of them if not given.
    width : float
        Times the calibrated number of candidates beyond K.
    """

    def __init__(
        self,
        bundle: Bundle,
        session: ort.InferenceSession,
        allowed: npt.NDArray[np.bool_] | None = None,
        *,
        width: float = 1.0,
    ) -> None:
        super().__init__(bundle, session, allowed=allowed)
        self._width = width

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        device: Device = Device.CPU,
        threads: int = 0,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> "ScreenedRanker":
        """Open the graph on a device, with so many threads; 0 takes every core.

        Raises
        ------
        ArtifactError
            The bundle has no screen.
        CapabilityError
            CUDA was asked for and cannot be had.
        """
        _require_screen(bundle)
        session = open_session(lambda _: bundle.path / SCREEN_GRAPH, device, threads)
        return cls(bundle, session, allowed)

    def widened(self, width: float) -> "ScreenedRanker":
        """Share the session, and score ``width`` times as many candidates beyond K."""
        return ScreenedRanker(self._bundle, self._session, self.allowed, width=width)

    def candidates(self, k: int) -> int:
        """Items a user that are scored exactly for lists of K.

        Raises
        ------
        UsageError
            The screen is not calibrated for lists so long.
        """
        found = calibrated(self._bundle, k)
        if found is None:
            raise UsageError(
                f"the screen is not calibrated for k = {k}", remedy="rank with the exact graph"
            )
        beyond = self._width * (found.candidates - found.k)
        return min(self._bundle.n_items, round(found.k + beyond))

    def _users_at_once(self, k: int) -> int:
        row: int = self._bundle.manifest["model"]["row_width"]
        values = self.candidates(k) * row
        return max(1, min(_USERS, _LOGITS // self._bundle.n_items, _VALUES // values))

    def _feeds(self, users: npt.NDArray[np.int64], unwanted: Pairs, k: int) -> Feeds:
        feeds = super()._feeds(users, unwanted, k)
        return {**feeds, "candidates": np.array([self.candidates(k)], np.int64)}


class Rescorer:
    """Scores given items of given users exactly, with the arithmetic of the screened graph.

    Parameters
    ----------
    bundle : Bundle
        Gives the user rows.
    session : onnxruntime.InferenceSession
        Its ``rescore.onnx``, open.
    """

    def __init__(self, bundle: Bundle, session: ort.InferenceSession) -> None:
        self._bundle = bundle
        self._session = session

    @classmethod
    def open(cls, bundle: Bundle, device: Device = Device.CPU, threads: int = 0) -> "Rescorer":
        """Open the graph on a device, with so many threads; 0 takes every core.

        Raises
        ------
        ArtifactError
            The bundle has no screen.
        CapabilityError
            CUDA was asked for and cannot be had.
        """
        _require_screen(bundle)
        return cls(bundle, open_session(lambda _: bundle.path / RESCORE_GRAPH, device, threads))

    def score(
        self, users: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
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
        for indices, size in ((users, self._bundle.n_users), (items, self._bundle.n_items)):
            if indices.size and not (indices.min() >= 0 and indices.max() < size):
                raise IndexError(f"index outside [0, {size})")
        logits = np.empty(items.shape, np.float32)
        width: int = self._bundle.manifest["model"]["row_width"]
        most = max(1, _RESCORED_VALUES // width)  # pairs of a call
        wide = min(items.shape[1], most)
        step = max(1, min(_USERS, most // max(1, wide)))
        for start in range(0, users.size, step):
            part = slice(start, start + step)
            rows = np.ascontiguousarray(self._bundle.user_rows[users[part]])
            for first in range(0, items.shape[1], max(1, wide)):
                cut = (part, slice(first, first + wide))
                (logits[cut],) = self._session.run(["logit"], {"rows": rows, "item": items[cut]})
        return logits


def calibrated(bundle: Bundle, k: int) -> Calibrated | None:
    """Look up what export found for lists of K; None where the screen does not cover them."""
    if not bundle.has_screen:
        return None
    for each in bundle.manifest["screen"]["by_k"]:
        if k <= each["k"]:
            return Calibrated(each["k"], each["candidates"], each["recall"])
    return None


def _require_screen(bundle: Bundle) -> None:
    if not bundle.has_screen:
        reason = bundle.manifest.get("screen", {}).get("reason", "an older bundle")
        raise ArtifactError(
            f"has no screened graph ({reason})", where=bundle.path, remedy="rank exactly"
        )
