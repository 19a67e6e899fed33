"""What a ranker is given and what it answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.errors import UsageError

Users = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TopK:
    """Ranked items of some users.

    Parameters
    ----------
    items : int64 array of shape (n, width)
        Item indices from the best; ``width`` is K, or the catalogue's size where K is larger.
    scores : float32 array of shape (n, width)
        Logits, descending; ties stand by ascending index. Minus infinity where a user has no
        further wanted item; those entries do not count.
    """

    items: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def valid(self) -> npt.NDArray[np.bool_]:
        """Tell which entries count, bool of shape ``(n, width)``; they stand first in a row."""
        valid: npt.NDArray[np.bool_] = np.isfinite(self.scores)
        return valid


def check_k(k: int) -> None:
    """Refuse a list shorter than one.

    Raises
    ------
    UsageError
        ``k`` is less than 1.
    """
    if k < 1:
        raise UsageError(f"k = {k} is less than 1", remedy="ask for at least one item")
