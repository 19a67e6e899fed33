"""Score given items of given users exactly, with a bundle's graph for that."""

import numpy as np
import numpy.typing as npt

from ncf.devices import Device
from ncf.errors import ArtifactError
from ncf.scoring.bundle import RESCORE_GRAPH, Bundle
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.ranker import UserRows, Users
from ncf.scoring.screen_manifest import NoScreen
from ncf.scoring.sessions import device_of, failed_on_cuda, open_session

_USERS = 128  # in a call
_VALUES = 1 << 18  # in a call: as many as stay in a core's cache


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
        require_screen(bundle)
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
        most = max(1, _VALUES // self._rows.shape[1])  # pairs in a call
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


def require_screen(bundle: Bundle) -> None:
    """Refuse a bundle that has no screen.

    Raises
    ------
    ArtifactError
        It has none; the message gives the reason.
    """
    screen = bundle.manifest.screen
    if isinstance(screen, NoScreen):
        raise ArtifactError(
            f"has no screened graph ({screen.reason})", where=bundle.path, remedy="rank exactly"
        )
