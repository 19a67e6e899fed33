"""Evaluate by the full protocol: compare each user's top K of the catalogue with the test items.

A user's candidates are all items except those of the user's training and validation pairs; the
test items are relevant. Figures are means over users who have both a relevant candidate and
another one, with standard errors over users. Lists are made as in a batch: ties are ordered by
ascending index.

Source: Krichene and Rendle, "On sampled metrics for item recommendation", KDD 2020, who show that
figures over sampled items may rank models in another order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.evaluation.beyond_accuracy import Catalogue, gini, novelty, self_information
from ncf.evaluation.lists import Lists, Rank, Users, hits, stream, worth
from ncf.evaluation.metrics import check_length, mean_and_error
from ncf.evaluation.segments import by_history

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """The users of an evaluation, with their candidates and relevant items.

    Parameters
    ----------
    users : int64 array of shape (n,)
        User indices, ascending.
    relevant : sparse array of shape (n, items)
        Stored entries are the users' test items.
    candidates : int64 array of shape (n,)
        Count of each user's candidates.
    seen : sparse array of shape (all users, items)
        Stored entries are the training and validation pairs, which are not listed.
    unranked : int
        Users left out although they have a test item: all of their candidates are relevant, so
        that every list would be perfect, or none are.
    untested : int
        Users without a test item.
    """

    users: Users
    relevant: sparse.csr_array
    candidates: npt.NDArray[np.int64]
    seen: sparse.csr_array
    unranked: int
    untested: int

    @classmethod
    def of(cls, data: PreparedData, among: npt.NDArray[np.bool_] | None = None) -> "Panel":
        """Find the users who can be evaluated.

        Parameters
        ----------
        data : PreparedData
            Gives the parts.
        among : bool array of shape (all users,), optional
            Who may be asked; if not given, users with a training pair, as for others the model has
            nothing to go by; of a given split all users, as others measure.

        Raises
        ------
        UsageError
            There is no such user.
        """
        seen = data.train.join(data.validation.positives).csr()
        test = data.test.positives.csr()
        # A test item may be a training item too, in an NCF triple, which others split.
        relevant = sparse.csr_array(test - test.multiply(seen))
        relevant.eliminate_zeros()
        among = data.measured() if among is None else among
        wanted = np.where(among, np.diff(relevant.indptr).astype(np.int64), 0)
        candidates = seen.shape[1] - np.diff(seen.indptr).astype(np.int64)
        ranked = (wanted > 0) & (candidates > wanted)
        tested = among & (np.diff(test.indptr) > 0)
        if not tested.any():
            raise UsageError("the data has no case to evaluate", remedy="prepare more interactions")
        if not ranked.any():
            raise UsageError(
                "nothing to rank: no user has both a test item and another unseen item",
                remedy="prepare more interactions",
            )
        users = np.flatnonzero(ranked)
        return cls(
            users,
            sparse.csr_array(relevant[users]),
            candidates[users],
            seen,
            int(np.count_nonzero(tested & ~ranked)),
            int(np.count_nonzero(among & ~tested)),
        )

    def at_most(self, count: int) -> "Panel":
        """Take so many of the users, evenly by their indices: always the same ones."""
        if count >= self.users.size:
            return self
        chosen = np.linspace(0, self.users.size - 1, count).round().astype(np.int64)
        relevant = sparse.csr_array(self.relevant[chosen])
        users, candidates = self.users[chosen], self.candidates[chosen]
        return replace(self, users=users, relevant=relevant, candidates=candidates)

    def wanted(self, part: slice = slice(None)) -> npt.NDArray[np.int64]:
        """Count each user's relevant items."""
        counts: npt.NDArray[np.int64] = np.diff(self.relevant.indptr).astype(np.int64)[part]
        return counts


@dataclass(frozen=True)
class FullMetrics:
    """Figures of one model by the full protocol.

    Parameters
    ----------
    protocol : str
        Always ``"full"``, as sampled figures are not comparable with these.
    users, cases : int
        Count of users averaged, and of all their relevant items.
    unranked, untested : int
        Counts of users left out: see :class:`Panel`.
    metrics : list of dict
        For each length ``k``: ``hr``, ``ndcg``, ``recall``, ``mrr``, ``precision`` (see
        :func:`ncf.evaluation.lists.worth`) and ``novelty``, means over users, each with its
        standard error as ``NAME_se``; ``similarity`` and ``popularity`` of lists (see
        :class:`ncf.evaluation.beyond_accuracy.Catalogue`), and the ``history_popularity`` of the
        same users' training items; ``popularity_lift``, by how much the former is above the latter,
        as a share of it; ``coverage``, ``gini``; and ``short_lists``, the count of users with fewer
        than K candidates.
    segments : list of dict
        Figures for each ``k`` by length of the users' histories.
    """

    protocol: str
    users: int
    cases: int
    unranked: int
    untested: int
    metrics: list[dict[str, Any]]
    segments: list[dict[str, Any]]


def full(rank: Rank, data: PreparedData, panel: Panel, lengths: Sequence[int]) -> FullMetrics:
    """Evaluate a model's lists.

    Parameters
    ----------
    rank : Rank
        Gives users their top K of all items except the panel's ``seen``.
    data : PreparedData
        Gives the popularity of items in training.
    panel : Panel
        Users of the same data.
    lengths : sequence of int
        One or several values of K.

    Raises
    ------
    UsageError
        A length is less than 1.
    """
    check_length(*lengths)
    n_items = len(data.items)
    information, catalogue = self_information(data), Catalogue.of(data.train)
    values = {k: _Values(panel.users, n_items) for k in lengths}
    longest = min(max(lengths), n_items)
    for block in stream((rank,), panel.users, longest):
        (lists,) = block.lists
        hit = hits(lists, sparse.csr_array(panel.relevant[block.part]))
        for k, collected in values.items():
            of_users = worth(hit, panel.wanted(block.part), k)
            of_users["novelty"] = novelty(lists[:, :k], information)
            of_users["similarity"] = catalogue.similarity(lists[:, :k])
            of_users["popularity"] = catalogue.popularity(lists[:, :k])
            collected.add(block.part, lists[:, :k], of_users)
    return FullMetrics(
        "full",
        panel.users.size,
        int(panel.wanted().sum()),
        panel.unranked,
        panel.untested,
        [
            {
                "k": k,
                **each.row(catalogue.of_history),
                "short_lists": int(np.count_nonzero(panel.candidates < k)),
            }
            for k, each in values.items()
        ],
        [{"k": k, **row} for k, each in values.items() for row in each.segments(data)],
    )


class _Values:
    """Collects each user's figures, and the items listed for any user, for lists of one length."""

    def __init__(self, users: Users, n_items: int) -> None:
        self._users = users
        self._of_users: dict[str, Floats] = {}
        self._listed = np.zeros(n_items, np.int64)

    def add(self, part: slice, lists: Lists, of_users: dict[str, Floats]) -> None:
        for name, values in of_users.items():
            self._of_users.setdefault(name, np.zeros(self._users.size))[part] = values
        self._listed += np.bincount(lists[lists >= 0], minlength=self._listed.size)

    def row(self, of_history: Floats) -> dict[str, float]:
        """Compute means and standard errors over users, and figures of all lists together."""
        row: dict[str, float] = {}
        everyone = np.arange(self._users.size)
        for name, values in self._of_users.items():
            row[name], row[f"{name}_se"] = mean_and_error(values, everyone)
        mine = of_history[self._users]
        known = ~np.isnan(mine)
        history = float(mine[known].mean()) if known.any() else 0.0
        listed = float(self._of_users["popularity"][known].mean()) if known.any() else 0.0
        row["history_popularity"] = history
        row["popularity_lift"] = listed / history - 1 if history else 0.0
        return {**row, "coverage": float((self._listed > 0).mean()), "gini": gini(self._listed)}

    def segments(self, data: PreparedData) -> list[dict[str, Any]]:
        """Average figures by length of the users' histories."""
        lengths = np.bincount(data.train.users, minlength=len(data.users))
        return by_history(self._of_users, self._users, lengths)
