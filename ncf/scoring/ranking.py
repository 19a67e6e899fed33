"""Top-K of users over the whole catalogue, seen items masked."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ncf.devices import Device
from ncf.errors import UsageError
from ncf.scoring.bundle import Bundle
from ncf.scoring.sessions import open_session

_PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class TopK:
    """Ranked items of some users.

    Parameters
    ----------
    items : int32 array of shape (n, width)
        Item indices from the best; ``width`` is K, or the catalogue's size where K is larger.
    scores : float32 array of shape (n, width)
        Logits, descending; ties stand by ascending index.
    counts : int32 array of shape (n,)
        How many of each row count: fewer than ``width`` for a user with fewer unseen items.
    """

    items: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]

    def valid(self) -> npt.NDArray[np.bool_]:
        """Tell which entries count, bool of shape ``(n, width)``."""
        valid: npt.NDArray[np.bool_] = np.arange(self.items.shape[1]) < self.counts[:, None]
        return valid


class Ranker(Protocol):
    """Anything that ranks the unseen items of users."""

    def rank(self, users: npt.NDArray[np.int64], k: int) -> TopK:
        """Top-K unseen items of each user index, int64 of shape ``(n,)``."""
        ...


class PairRanker:
    """Scores every pair of a user and an item with the plain graph: exact, and not fast.

    Parameters
    ----------
    bundle : Bundle
        Gives the graph and the seen items.
    device : Device
        Where to compute.
    threads : int
        Of the session; 0 takes every core.
    """

    def __init__(self, bundle: Bundle, device: Device = Device.CPU, threads: int = 0) -> None:
        self._session = open_session(bundle.score_graph, device, threads)
        self._seen = bundle.seen
        self._n_items = bundle.seen.shape[1]

    def rank(self, users: npt.NDArray[np.int64], k: int) -> TopK:
        """Top-K unseen items of each user.

        Parameters
        ----------
        users : int64 array of shape (n,)
            User indices; repeats are allowed.
        k : int
            At least 1.

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        IndexError
            A user index is out of range.
        """
        check_k(k)
        n_users = self._seen.shape[0]
        # ONNX Runtime takes -1 for the last user on the CPU, and reads zeros past the end on CUDA.
        if users.size and not (users.min() >= 0 and users.max() < n_users):
            raise IndexError(f"user index outside [0, {n_users})")
        width = min(k, self._n_items)
        items = np.empty((users.size, width), np.int32)
        scores = np.empty((users.size, width), np.float32)
        step = max(1, _PAIRS_AT_ONCE // self._n_items)
        for start in range(0, users.size, step):
            part = slice(start, start + step)
            items[part], scores[part] = self._rank_block(users[part], width)
        seen_counts = np.diff(self._seen.indptr)[users]
        counts = np.minimum(width, self._n_items - seen_counts).astype(np.int32)
        return TopK(items, scores, counts)

    def _rank_block(
        self, users: npt.NDArray[np.int64], width: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        catalogue = np.arange(self._n_items, dtype=np.int64)
        pairs = {
            "user": np.repeat(users, self._n_items),
            "item": np.tile(catalogue, users.size),
        }
        (flat,) = self._session.run(["logit"], pairs)
        logits: npt.NDArray[np.float32] = flat.reshape(users.size, self._n_items)
        rows, seen_items = self._seen[users].nonzero()
        logits[rows, seen_items] = -np.inf
        # A stable sort keeps ties in ascending order of index.
        items = np.argsort(-logits, axis=1, kind="stable")[:, :width]
        return items.astype(np.int32), np.take_along_axis(logits, items, axis=1)


def check_k(k: int) -> None:
    """Refuse a list shorter than one.

    Raises
    ------
    UsageError
        ``k`` is less than 1.
    """
    if k < 1:
        raise UsageError(f"k = {k} is less than 1", remedy="ask for at least one item")
