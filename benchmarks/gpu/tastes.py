"""Made-up interactions with something to learn in them: tastes of few dimensions, popularity."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ncf.data.interactions import Cases, Interactions
from ncf.data.negatives import UnseenItems

_TASTES = 12
_NEGATIVES = 99
_USERS_AT_ONCE = 512


class Rows(NamedTuple):
    """Compressed rows, as SciPy's CSR has them; a machine with NumPy alone has no SciPy."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    shape: tuple[int, int]


class Drawn(Interactions):
    """Interactions whose users, and the items of each, ascend; each pair once."""

    def csr(self) -> Rows:  # type: ignore[override]  # what samples read of a matrix
        """Compressed rows, without SciPy."""
        counts = np.bincount(self.users, minlength=self.n_users)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Rows(starts, self.items, (self.n_users, self.n_items))


@dataclass(frozen=True)
class Tastes:
    """Training pairs, and a held-out pair of each user with its sampled negatives."""

    train: Drawn
    validation: Cases


def draw(n_users: int, n_items: int, each: int, seed: int = 0) -> Tastes:
    """Draw ``each`` items for every user by taste and popularity, and one more to validate on.

    Choosing the largest of logits plus Gumbel noise draws without replacement in proportion to
    their softmax (Kool et al., "Stochastic beams and where to find them", ICML 2019).
    """
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(_TASTES, n_items)).astype(np.float32)
    popularity = rng.gumbel(0, 1.2, n_items).astype(np.float32)
    listed = np.empty((n_users, each + 1), np.int32)
    for start in range(0, n_users, _USERS_AT_ONCE):
        block = listed[start : start + _USERS_AT_ONCE]
        users = rng.normal(size=(len(block), _TASTES)).astype(np.float32)
        logits = users @ items + popularity + rng.gumbel(size=(len(block), n_items))
        block[:] = np.argpartition(-logits, each + 1, axis=1)[:, : each + 1]
    rng.permuted(listed, axis=1, out=listed)
    held, kept = listed[:, 0], np.sort(listed[:, 1:], axis=1)
    owners = np.arange(n_users, dtype=np.int32)
    train = Drawn(np.repeat(owners, each), kept.ravel(), n_users, n_items)
    everything = np.sort(listed, axis=1)
    known = Drawn(np.repeat(owners, each + 1), everything.ravel(), n_users, n_items)
    negatives = UnseenItems(known.csr()).draw_distinct(owners, _NEGATIVES, rng)
    return Tastes(train, Cases(Interactions(owners, held, n_users, n_items), negatives))
