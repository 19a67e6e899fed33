"""Move a network's embeddings to other users and items: kept by raw id, made by maps where new."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from ncf.data.interactions import Interactions
from ncf.graphs.fold_in import Doubles, features, item_vectors
from ncf.graphs.fold_in_fit import MOST_FITTED, normal_equations
from ncf.graphs.tower import Floats, branches
from ncf.models.weights import Weights
from ncf.scoring.fold_in import ANEW

Indices = npt.NDArray[np.int64]
FoldIn: TypeAlias = Callable[[sparse.csr_array], Doubles]

_SEED = 0


@dataclass(frozen=True)
class Moved:
    """Where the rows of a table come from.

    Parameters
    ----------
    old : int64 array of shape (rows,)
        Row in the old table; -1 for a new one.
    """

    old: Indices

    @property
    def kept(self) -> Indices:
        """Rows that the old table has, ascending."""
        return np.flatnonzero(self.old >= 0)

    @property
    def new(self) -> Indices:
        """Rows that it does not have, ascending."""
        return np.flatnonzero(self.old < 0)

    def table(self, old: Floats) -> Floats:
        """Take the rows that are kept; others are 0."""
        found = np.zeros((self.old.size, old.shape[1]), np.float32)
        found[self.kept] = old[self.old[self.kept]]
        return found


def moved_weights(
    weights: Weights, users: Moved, items: Moved, learned: Interactions, now: Interactions
) -> Weights:
    """Make the weights that a warm start begins with.

    Rows of users and of items are kept; all else that is trained, too. A new user's row is made
    from the known items that they took, and then a new item's from the users who took it, by the
    two linear maps of folding in, fitted on what the old weights were trained on. The row of a user
    whose history grew moves along, as it does in a batch with ``--refresh``.

    Parameters
    ----------
    weights : dict
        Old weights of a GMF, an MLP or a NeuMF.
    users, items : Moved
        Where the rows of the new tables come from.
    learned : Interactions
        What the old weights were trained on, over the new id maps.
    now : Interactions
        What the new ones will be trained on.

    Returns
    -------
    dict
        Weights over the new id maps.
    """
    # Several threads add products in another order, which gives other bytes.
    with threadpool_limits(limits=1, user_api="blas"):
        of_users = users.table(_tables(weights, "user"))
        of_items = items.table(item_vectors(weights))
        before, after = learned.csr(), now.csr()
        known = sparse.csr_array(before[users.kept][:, items.kept])
        fold_in = _fitted(of_items[items.kept], of_users[users.kept], known)
        of_users[users.new] = fold_in(after[users.new][:, items.kept])
        both = sparse.csr_array(after[users.kept][:, items.kept] + known)
        of_users[users.kept] = _refreshed(of_users[users.kept], fold_in, known, both)
        if items.new.size:
            takers = sparse.csr_array(before.T.tocsr()[items.kept])
            known_by = _fitted(of_users, of_items[items.kept], takers)
            of_items[items.new] = known_by(after.T.tocsr()[items.new])
    return {**weights, **_apart(weights, "user", of_users), **_apart(weights, "item", of_items)}


def _fitted(vectors: Floats, targets: Floats, known: sparse.csr_array) -> FoldIn:
    """Fit a map from histories to rows, and give the function that folds histories in."""
    rng = np.random.default_rng(_SEED)
    some = np.flatnonzero(np.diff(known.indptr) > 0)
    some = np.sort(rng.permutation(some)[:MOST_FITTED])
    fitted = normal_equations(vectors, targets[some], sparse.csr_array(known[some]), rng).solve()
    wide = vectors.astype(np.float64)

    def rows(histories: sparse.csr_array) -> Doubles:
        found = sparse.csr_array(histories)
        sums: Doubles = found.astype(np.bool_).astype(np.float64) @ wide
        folded: Doubles = features(sums, np.diff(found.indptr)) @ fitted
        return folded

    return rows


def _refreshed(
    rows: Floats, fold_in: FoldIn, before: sparse.csr_array, after: sparse.csr_array
) -> Doubles:
    """Move the rows of users whose history grew, as ``--refresh`` does."""
    had, added = np.diff(before.indptr), np.diff(after.indptr) - np.diff(before.indptr)
    new = fold_in(after)
    moved = np.where((added > ANEW * had)[:, None], new, rows + (new - fold_in(before)))
    return np.where(added[:, None] > 0, moved, rows)


def _tables(weights: Weights, side: str) -> Floats:
    return np.concatenate([weights[f"{each}.{side}.weight"] for each in branches(weights)], axis=1)


def _apart(weights: Weights, side: str, table: Floats) -> Weights:
    """Cut a table of both branches into the branches' own."""
    found, start = {}, 0
    for branch in branches(weights):
        name = f"{branch}.{side}.weight"
        width = weights[name].shape[1]
        found[name] = np.ascontiguousarray(table[:, start : start + width])
        start += width
    return found


def without_output_weights(weights: Weights) -> Weights:
    """Move a GMF's output weights into its users' rows, as training by blocks leaves them at 1."""
    output = weights["output.weight"]
    users = weights["gmf.user.weight"] * output
    return {**weights, "gmf.user.weight": users, "output.weight": np.ones_like(output)}
