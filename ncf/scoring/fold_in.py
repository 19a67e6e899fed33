"""Fold in: make rows of users from their histories with a bundle's ``foldin.onnx``."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.errors import ArtifactError
from ncf.pairs import among, distinct, pair_keys, split_keys
from ncf.scoring.bundle import FOLD_IN_GRAPH, Bundle
from ncf.scoring.fold_in_manifest import FoldInFacts
from ncf.scoring.onnx_runtime import ort
from ncf.scoring.ranker import Pairs, Users
from ncf.scoring.sessions import open_cpu

Floats = npt.NDArray[np.float32]

ANEW = 0.2
"""A history that grew by more than this share is folded in anew."""
_USERS = 1024  # in a call


class FoldIn:
    """Makes rows from histories; one thread, so that the same history gives the same bits.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Session of ``foldin.onnx``, on the CPU.
    n_items : int
        Size of the catalogue.
    least : int
        Shortest history that is worth folding in.
    """

    def __init__(self, session: ort.InferenceSession, n_items: int, least: int = 1) -> None:
        self._session = session
        self._n_items = n_items
        self.least = least
        self.width = int(session.get_outputs()[0].shape[1])

    @classmethod
    def open(cls, bundle: Bundle) -> "FoldIn | None":
        """Open a bundle's graph; None where the bundle has none.

        Raises
        ------
        ArtifactError
            ONNX Runtime cannot read it.
        """
        facts = bundle.manifest.fold_in
        if not isinstance(facts, FoldInFacts):
            return None
        session = open_cpu(bundle.path / FOLD_IN_GRAPH, threads=1)
        found = cls(session, bundle.n_items, facts.min_history)
        if found.width != bundle.manifest.model.row_width:
            raise ArtifactError("makes rows of another width", where=bundle.path / FOLD_IN_GRAPH)
        return found

    def rows(self, history: Pairs, users: int) -> Floats:
        """Make the rows of some users.

        Parameters
        ----------
        history : int64 array of shape (m, 2)
            Position of the user and item index, in any order; repeats count once.
        users : int
            Count of users; those without a history get a row too.

        Returns
        -------
        float32 array of shape (users, d)
            Rows, as the top-K graphs take them.

        Raises
        ------
        IndexError
            A position or an item is out of range.
        """
        for column, size in zip(history.T, (users, self._n_items), strict=True):
            # The graph does not check, and would take -1 for the last item.
            if column.size and not (column.min() >= 0 and column.max() < size):
                raise IndexError(f"index outside [0, {size})")
        owners, items = split_keys(
            distinct(pair_keys(history[:, 0], history[:, 1], self._n_items)), self._n_items
        )
        rows = np.empty((users, self.width), np.float32)
        for start in range(0, users, _USERS):
            stop = min(start + _USERS, users)
            first, last = np.searchsorted(owners, [start, stop])
            part = np.stack([owners[first:last] - start, items[first:last]], axis=1)
            feeds = {"history": part, "users": np.array([stop - start], np.int64)}
            (rows[start:stop],) = self._session.run(["rows"], feeds)
        return rows

    def refreshed(self, rows: Floats, before: Pairs, after: Pairs) -> Floats:
        """Move trained rows along with their users' histories.

        A row moves by the difference of the rows that its two histories fold into; so what the
        training found beyond the map is kept. A row whose history grew by more than a fifth is
        folded in anew, and so is one without a history before.

        Parameters
        ----------
        rows : float32 array of shape (n, d)
            Trained rows.
        before, after : int64 arrays of shape (m, 2)
            Position and item: what the rows were trained on, and what is known now.
        """
        new = self.rows(after, len(rows))
        kept = grown(before, after, len(rows), self._n_items) <= ANEW
        moved = rows + (new - self.rows(before, len(rows)))
        return np.where(kept[:, None], moved, new).astype(np.float32, copy=False)


def grown(before: Pairs, after: Pairs, users: int, n_items: int) -> npt.NDArray[np.float64]:
    """Compute by what share each user's history grew; infinite where there was none before.

    Examples
    --------
    >>> before = np.array([[0, 3], [0, 4]])
    >>> grown(before, np.array([[0, 3], [0, 4], [0, 5], [1, 3]]), 2, 9).tolist()
    [0.5, inf]
    """
    old = distinct(pair_keys(before[:, 0], before[:, 1], n_items))
    new = distinct(pair_keys(after[:, 0], after[:, 1], n_items))
    added = np.bincount(split_keys(new[~among(new, old)], n_items)[0], minlength=users)
    had = np.bincount(split_keys(old, n_items)[0], minlength=users)
    with np.errstate(divide="ignore", invalid="ignore"):
        share: npt.NDArray[np.float64] = np.where(had > 0, added / had, np.inf)
    return share


@dataclass(frozen=True)
class Learned:
    """The pairs that a bundle's rows were trained on: what users have seen, with exceptions.

    Parameters
    ----------
    bundle : Bundle
        Says what users have seen, and which of these pairs the rows never learned.
    """

    bundle: Bundle

    def pairs(self, users: Users) -> Pairs:
        """List position in ``users`` and item, int64 of shape ``(m, 2)``."""
        seen = self.bundle.seen.pairs(users)
        if self.bundle.unlearned is None:
            return seen
        other = self.bundle.unlearned.pairs(users)
        n_items = self.bundle.n_items
        exceptions = np.sort(pair_keys(other[:, 0], other[:, 1], n_items))
        return seen[~among(pair_keys(seen[:, 0], seen[:, 1], n_items), exceptions)]
