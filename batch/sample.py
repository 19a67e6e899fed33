"""Keep the lists of some users of a run, and those of the same users in another run."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Listed:
    """The list of a user.

    Parameters
    ----------
    items : list of int
        Item codes, best first.
    scores : list of float
        Logits; NaN in a popular list.
    policy : int
        Code of the policy.
    """

    items: list[int]
    scores: list[float]
    policy: int


@dataclass
class Sample:
    """Lists of the users whose ids have the least hashes, or of those that another sample has.

    Parameters
    ----------
    size : int
        Number of users to keep; 0 keeps none.
    like : Sample or None
        Complete sample, whose users are kept here too.
    lists : dict
        The lists by raw id, once all were added.
    """

    size: int
    like: "Sample | None" = None
    lists: dict[str, Listed] = field(default_factory=dict)
    _hashes: dict[str, int] = field(default_factory=dict)

    def add(self, lists: pa.Table) -> None:
        """Add lists of :func:`batch.codes.coded_lists`."""
        if self.like is not None:
            wanted = pa.array(list(self.like.lists), pa.string())
            lists = lists.filter(pc.is_in(lists["user"], wanted))
        if not self.size or not lists.num_rows:
            return
        hashes = pd.util.hash_array(lists["user"].to_numpy(), categorize=False)
        some = np.argsort(hashes, kind="stable")[: self.size]
        rows = lists.take(pa.array(some)).to_pydict()
        for at, user in enumerate(rows["user"]):
            items, scores, policy = (rows[name][at] for name in ("items", "scores", "policy"))
            self.lists[user] = Listed(items, scores, policy)
            self._hashes[user] = int(hashes[some[at]])
        for user in sorted(self.lists, key=lambda user: (self._hashes[user], user))[self.size :]:
            del self.lists[user], self._hashes[user]
