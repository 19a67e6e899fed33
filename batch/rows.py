"""Make the rows of a batch's users when they are ranked: trained, folded in, or refreshed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ncf.pairs import among, distinct, pair_keys
from ncf.scoring.bundle import Bundle
from ncf.scoring.fold_in import FoldIn, Learned
from ncf.scoring.ranker import Pairs, Users
from ncf.scoring.seen import Fresh, Seen

_AT_ONCE = 1 << 15  # users whose histories are in memory
_KEPT = 1 << 28  # bytes of rows


@dataclass(frozen=True)
class Exported:
    """The items that users had seen at the export; users beyond the bundle's have seen none."""

    seen: Seen

    def pairs(self, users: Users) -> Pairs:
        """List position in ``users`` and item, int64 of shape ``(m, 2)``."""
        inside = np.flatnonzero(users < self.seen.shape[0])
        if inside.size == users.size:
            return self.seen.pairs(users)
        pairs = self.seen.pairs(users[inside])
        return np.stack([inside[pairs[:, 0]], pairs[:, 1]], axis=1)


@dataclass(frozen=True)
class Histories:
    """All that users are known to have taken: at the export, and since.

    Parameters
    ----------
    before : Exported
        At the export.
    since : Fresh
        Since then; strangers' indices follow those of the bundle.
    """

    before: Exported
    since: Fresh

    def pairs(self, users: Users) -> Pairs:
        """List position in ``users`` and item, int64 of shape ``(m, 2)``; repeats are possible."""
        return np.concatenate([self.before.pairs(users), self.since.pairs(users)])

    def lengths(self, users: Users) -> npt.NDArray[np.int64]:
        """Count the distinct items of each user."""
        found = [np.empty(0, np.int64)]
        for start in range(0, users.size, _AT_ONCE):
            some = users[start : start + _AT_ONCE]
            pairs = self.pairs(some)
            keys = distinct(pair_keys(pairs[:, 0], pairs[:, 1], self.since.seen.n_items))
            owners = keys // self.since.seen.n_items
            found.append(np.bincount(owners, minlength=some.size).astype(np.int64))
        return np.concatenate(found)

    def grown(self) -> Users:
        """Find the users of the bundle who have taken an item since the export, ascending."""
        users = self.since.users[self.since.users < self.before.seen.shape[0]]
        n_items = self.since.seen.n_items
        old, new = self.before.pairs(users), self.since.pairs(users)
        known = np.sort(pair_keys(old[:, 0], old[:, 1], n_items))
        fresh = ~among(pair_keys(new[:, 0], new[:, 1], n_items), known)
        found: Users = users[np.unique(new[fresh, 0])]
        return found


class AudienceRows:
    """Rows by user index, made when they are asked for; see :class:`ncf.scoring.ranker.UserRows`.

    Folded rows are kept for the audit and for further tries, unless they take too much memory.

    Parameters
    ----------
    bundle : Bundle
        Gives trained rows, and folds in.
    fold_in : FoldIn
        The bundle's.
    histories : Histories
        Histories of all users.
    folded, refreshed : int64 arrays
        Indices of the users whose rows are folded in, and refreshed; ascending.
    """

    def __init__(
        self,
        bundle: Bundle,
        fold_in: FoldIn,
        histories: Histories,
        folded: Users,
        refreshed: Users,
    ) -> None:
        self._bundle, self._fold_in, self._histories = bundle, fold_in, histories
        self._folded, self._refreshed = folded, refreshed
        self._learned = Learned(bundle)
        width = bundle.user_rows.shape[1]
        keeps = 4 * folded.size * width <= _KEPT
        self._kept = np.empty((folded.size if keeps else 0, width), np.float32)
        self._is_kept = np.zeros(len(self._kept), np.bool_)
        last = max([bundle.n_users - 1, *folded[-1:].tolist()])
        self.shape = (last + 1, bundle.user_rows.shape[1])

    def __len__(self) -> int:
        """Count of users of the bundle, and of strangers up to the last who is folded in."""
        return int(self.shape[0])

    def __getitem__(self, users: Users, /) -> npt.NDArray[np.float32]:
        """Make the rows of some users."""
        rows = np.empty((users.size, self.shape[1]), np.float32)
        strange = np.flatnonzero(among(users, self._folded))
        trained = np.setdiff1d(np.arange(users.size), strange, assume_unique=True)
        rows[trained] = self._bundle.user_rows[users[trained]]
        if strange.size:
            rows[strange] = self._strangers(np.searchsorted(self._folded, users[strange]))
        moved = np.flatnonzero(among(users, self._refreshed))
        if moved.size:
            before = self._learned.pairs(users[moved])
            after = self._histories.pairs(users[moved])
            rows[moved] = self._fold_in.refreshed(rows[moved], before, after)
        return rows

    def _strangers(self, places: Users) -> npt.NDArray[np.float32]:
        """Get the rows at places among the folded users; threads may both make one, to the bit."""
        if not self._kept.size:
            return self._made(places)
        new = places[~self._is_kept[places]]
        if new.size:
            self._kept[new] = self._made(new)
            self._is_kept[new] = True
        return self._kept[places]

    def _made(self, places: Users) -> npt.NDArray[np.float32]:
        history = self._histories.pairs(self._folded[places])
        return self._fold_in.rows(history, places.size)
