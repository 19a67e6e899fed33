"""Decide what each list is ranked by, a trained row, a history or both, and make the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.policies import Policy
from ncf.scoring.bundle import Bundle
from ncf.scoring.fold_in import Floats, FoldIn, Learned
from ncf.scoring.ranker import Pairs

Items = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Basis:
    """What a user's list is ranked by.

    Parameters
    ----------
    index : int or None
        Index of a trained user; None for a stranger.
    history : int64 array of shape (n,), or None
        All items that the user is known to have taken, if the row is folded in or refreshed.
    """

    index: int | None
    history: Items | None = None

    @property
    def policy(self) -> Policy:
        """Policy of the list."""
        return Policy.HISTORY if self.index is None else Policy.MODEL

    @property
    def refreshed(self) -> bool:
        """Whether a trained row moves along with the history."""
        return self.index is not None and self.history is not None


class Bases:
    """Finds what lists are ranked by, and makes the rows.

    Parameters
    ----------
    bundle : Bundle
        Gives trained rows and what they learned, and folds in if it can.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._fold_in = FoldIn.open(bundle)
        self._learned = Learned(bundle)

    def find(self, index: int | None, given: Items | None) -> Basis | None:
        """Find what a user's list is ranked by; None means the popular items.

        Parameters
        ----------
        index : int or None
            Index of a user of the bundle.
        given : int64 array of shape (n,), or None
            Items that the request says the user has taken; repeats are allowed.
        """
        cold = index is None or self._bundle.is_cold(index)
        if given is None and not cold:  # nearly every request: what was seen adds nothing
            return Basis(index)
        nothing = np.empty(0, np.int64)
        seen = nothing if index is None else self._bundle.seen.of(index)
        known = np.union1d(seen, nothing if given is None else given)
        if cold:
            if self._fold_in is None or known.size < self._fold_in.least:
                return None
            return Basis(None, known)
        fresh = self._fold_in is not None and known.size > seen.size
        return Basis(index, known if fresh else None)

    def rows(self, bases: Sequence[Basis]) -> Floats:
        """Make a row for each basis, float32 of shape ``(n, d)``."""
        width = self._bundle.manifest.model.row_width
        rows = np.empty((len(bases), width), np.float32)
        trained = [place for place, each in enumerate(bases) if each.index is not None]
        users = np.array([bases[place].index for place in trained], np.int64)
        rows[trained] = self._bundle.user_rows[users]
        if self._fold_in is None:
            return rows
        strange = [place for place, each in enumerate(bases) if each.index is None]
        if strange:
            rows[strange] = self._fold_in.rows(_pairs(bases, strange), len(strange))
        moved = [place for place, each in enumerate(bases) if each.refreshed]
        if moved:
            users = np.array([bases[place].index for place in moved], np.int64)
            before = self._learned.pairs(users)
            rows[moved] = self._fold_in.refreshed(rows[moved], before, _pairs(bases, moved))
        return rows


def _pairs(bases: Sequence[Basis], places: Sequence[int]) -> Pairs:
    """Position among ``places`` and item of all histories."""
    histories = [history for each in places if (history := bases[each].history) is not None]
    positions = np.repeat(np.arange(len(histories)), [each.size for each in histories])
    return np.stack([positions, np.concatenate(histories)], axis=1)
