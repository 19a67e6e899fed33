"""Score given items of given user rows with NumPy, apart from every graph."""

import numpy as np
import numpy.typing as npt

from ncf.graphs.tower import Floats, Tower, heads
from ncf.models.weights import Weights

_VALUES = 1 << 21  # of the first layer, in one go


class RowScores:
    """Computes logits of user rows, as the top-K graphs take them, with some items each.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF.
    """

    def __init__(self, weights: Weights) -> None:
        gmf, head = heads(weights)
        self._gmf = gmf.size
        self._items = weights["gmf.item.weight"] if self._gmf else None
        self._tower = Tower(weights, head) if head.size else None
        self._bias = weights["output.bias"]

    def __call__(self, rows: Floats, items: npt.NDArray[np.int64]) -> Floats:
        """Compute logits, float32 of shape ``(n, m)``.

        Parameters
        ----------
        rows : float32 array of shape (n, d)
            User rows.
        items : int64 array of shape (n, m)
            Items of each.
        """
        logits = np.empty(items.shape, np.float32)
        step = max(1, _VALUES // max(1, items.shape[1] * rows.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            logits[part] = self._block(rows[part], items[part])
        return logits

    def _block(self, rows: Floats, items: npt.NDArray[np.int64]) -> Floats:
        logits = np.broadcast_to(self._bias, items.shape).astype(np.float32)
        if self._items is not None:
            logits += np.einsum("nd,nmd->nm", rows[:, : self._gmf], self._items[items])
        if self._tower is not None:
            logits += self._tower.scores(rows[:, self._gmf :], items)
        return logits
