"""Measure what folded rows are worth: five folds over users, histories of several lengths.

A user of a fold is folded in by a map that was fitted without the users of this fold. The lists
are compared with those of the same user's trained row, and with the most popular items, for the
same test items, with the same items left out.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from export.fold_in.row_scores import RowScores
from ncf.evaluation.lists import hits, worth
from ncf.evaluation.metrics import gains, mean_and_error, pessimistic_ranks
from ncf.graphs.fold_in import Doubles, features, item_vectors
from ncf.graphs.fold_in_fit import Normal, normal_equations, shortened
from ncf.graphs.topk import topk_graph
from ncf.graphs.tower import Floats, Form
from ncf.models.weights import Weights
from ncf.scoring.eligibility import Eligibility
from ncf.scoring.exact import ExactRanker
from ncf.scoring.fold_in_manifest import Promise
from ncf.scoring.seen import Seen
from ncf.scoring.sessions import open_cpu

FOLDS = 5
LENGTHS: tuple[int | None, ...] = (1, 3, 10, None)
_TRIED = (1, 2, 3, 4, 5, 7, 10)
_K = 10
_HIDDEN = 0.25  # of a measured loss; docs/new-users.md has the cells that it was found with

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """The users by whom folding in is judged, and their test items.

    Parameters
    ----------
    users : int64 array of shape (n,)
        Positions among the users that the map is fitted on.
    relevant, seen : scipy.sparse.csr_array of shape (n, items)
        Stored entries are test items, and items that are not listed.
    positives : int64 array of shape (n,)
        One test item of each user.
    negatives : int array of shape (n, sampled)
        The items that it is ranked against; -1 pads.
    popularity : int array of shape (items,)
        Training pairs of each item.
    """

    users: Indices
    relevant: sparse.csr_array
    seen: sparse.csr_array
    positives: Indices
    negatives: npt.NDArray[np.integer]
    popularity: npt.NDArray[np.integer]


class Trial:
    """Folds users in by maps that were fitted without them, and scores the rows.

    Parameters
    ----------
    weights : dict
        Weights of the model.
    rows : float32 array of shape (users, d)
        Trained rows of the users that the map is fitted on.
    history : scipy.sparse.csr_array of shape (users, items)
        What these rows were trained on.
    judged : Judged
        Some of these users, with test items.
    seed : int
        Seed of all draws.
    """

    def __init__(
        self,
        weights: Weights,
        rows: Floats,
        history: sparse.csr_array,
        judged: Judged,
        seed: int,
    ) -> None:
        self._vectors = item_vectors(weights)
        self._judged, self._seed = judged, seed
        self._rows = rows[judged.users]
        self._history = sparse.csr_array(history[judged.users])
        fold = np.random.default_rng([seed, 1]).integers(0, FOLDS, len(rows))
        self._fold = fold[judged.users]
        found = [self._equations(rows, history, fold, each) for each in range(FOLDS)]
        self.whole = sum(found[1:], found[0])
        self._maps = [(self.whole - each).solve() for each in found]
        self._score = RowScores(weights)
        seen = Seen(judged.seen.indptr, judged.seen.indices, judged.seen.shape[1])
        self._eligibility = Eligibility.whole_catalogue(seen.n_items, seen)
        self._session = open_cpu(topk_graph(weights, Form.LOOP), threads=1)

    def _equations(
        self, rows: Floats, history: sparse.csr_array, fold: Indices, each: int
    ) -> Normal:
        those = np.flatnonzero(fold == each)
        rng = np.random.default_rng([self._seed, 2, each])
        return normal_equations(self._vectors, rows[those], sparse.csr_array(history[those]), rng)

    def folded(self, length: int | None) -> Floats:
        """Fold the judged users in, from random parts of their histories; float32 ``(n, d)``."""
        counts = np.diff(self._history.indptr)
        sizes = counts if length is None else np.minimum(counts, length)
        rng = np.random.default_rng([self._seed, 3, length or 0])
        part = shortened(self._history, sizes, rng)
        x = features(part @ self._vectors.astype(np.float64), np.diff(part.indptr))
        rows = np.empty((len(x), self._rows.shape[1]), np.float32)
        for fold, solved in enumerate(self._maps):
            rows[self._fold == fold] = x[self._fold == fold] @ solved
        return rows

    def full(self, rows: Floats) -> Doubles:
        """Compute NDCG@10 of each user's list over the whole catalogue."""
        ranker = ExactRanker(self._session, rows, self._eligibility)
        top = ranker.rank(np.arange(len(rows)), _K)
        return self._worth(np.where(top.valid(), top.items, -1))

    def sampled(self, rows: Floats) -> Doubles:
        """Compute NDCG@10 of one test item of each user among sampled ones."""
        judged = self._judged
        items = np.column_stack([judged.positives, np.maximum(judged.negatives, 0)])
        return self._gains(self._score(rows, items))

    @property
    def protocols(self) -> tuple[Literal["full", "sampled"], ...]:
        """Protocols that can judge the test cases: those of a given split have no samples."""
        return ("full", "sampled") if self._judged.negatives.shape[1] else ("full",)

    @cached_property
    def trained(self) -> dict[str, Doubles]:
        """NDCG@10 of each user's trained row, by protocol."""
        return {"full": self.full(self._rows), "sampled": self.sampled(self._rows)}

    @cached_property
    def popular(self) -> dict[str, Doubles]:
        """NDCG@10 of the most popular items, by protocol."""
        judged, order = self._judged, np.argsort(-self._judged.popularity, kind="stable")
        lists = np.full((judged.users.size, _K), -1, np.int64)
        for row, user in enumerate(lists):
            own = judged.seen.indices[judged.seen.indptr[row] : judged.seen.indptr[row + 1]]
            best = order[: _K + own.size]
            best = best[~np.isin(best, own)][:_K]
            user[: best.size] = best
        place = np.empty(order.size, np.float32)
        place[order] = np.arange(order.size)
        items = np.column_stack([judged.positives, np.maximum(judged.negatives, 0)])
        return {"full": self._worth(lists), "sampled": self._gains(-place[items])}

    def _worth(self, lists: Indices) -> Doubles:
        relevant = self._judged.relevant
        return worth(hits(lists, relevant), np.diff(relevant.indptr).astype(np.int64), _K)["ndcg"]

    def _gains(self, logits: Floats) -> Doubles:
        valid = self._judged.negatives >= 0
        return gains(pessimistic_ranks(logits[:, 0], logits[:, 1:], valid), _K)


def promises(trial: Trial) -> tuple[Promise, ...]:
    """Compare folded with trained rows, by protocol and length of history."""
    found: dict[int | None, dict[str, Doubles]] = {}
    for length in LENGTHS:
        rows = trial.folded(length)
        found[length] = {"full": trial.full(rows), "sampled": trial.sampled(rows)}
    return tuple(
        _promise(trial, protocol, length, found)
        for protocol in trial.protocols
        for length in LENGTHS
    )


def _promise(
    trial: Trial,
    protocol: Literal["full", "sampled"],
    length: int | None,
    found: dict[int | None, dict[str, Doubles]],
) -> Promise:
    """State a loss: what was measured and a quarter more, and that of whole histories once more.

    The items knew these users when they were trained, which hides about half of what a whole
    history loses, and up to a fifth of what a short one does. Gains are stated as they are.
    """
    trained, folded = trial.trained[protocol], found[length][protocol]
    measured, whole = trained - folded, trained - found[None][protocol]
    loss = measured
    if measured.mean() > 0:
        loss = loss + _HIDDEN * measured
    if whole.mean() > 0:
        loss = loss + whole
    mean, error = mean_and_error(loss, np.arange(loss.size))
    return Promise(
        protocol=protocol,
        history=length,
        users=loss.size,
        popular=_rounded(trial.popular[protocol].mean()),
        folded=_rounded(folded.mean()),
        trained=_rounded(trained.mean()),
        loss=_rounded(mean),
        loss_se=_rounded(error),
    )


def shortest(trial: Trial) -> int | None:
    """Find the shortest histories whose lists are worth no less than the most popular items.

    Figures are NDCG@10 over the whole catalogue; sampled ones flatter short histories. None if
    histories of ten are not long enough.
    """
    least = trial.popular["full"].mean()
    worthy = (each for each in _TRIED if trial.full(trial.folded(each)).mean() >= least)
    return next(worthy, None)


def _rounded(value: float) -> float:
    return round(float(value), 6)
