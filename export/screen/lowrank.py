"""A low-rank stand-in for the MLP tower: every item's logit from a few items' exact ones.

The tower's logits over users and items, less each item's mean over users, are close to low rank
in trained models. A basis over items comes from a sample of users; a user's coefficients in it
are a linear function of that user's exact logits of a few landmark items. See docs/screening.md.

Sources: the basis is a principal component analysis of sampled rows; reading all columns off a
few exact ones is the Nystrom and CUR idea (Drineas, Mahoney and Muthukrishnan, "Relative-error
CUR matrix decompositions", SIAM J. Matrix Analysis 30(2), 2008); landmarks by pivoted QR are
those of Q-DEIM (Drmac and Gugercin, SIAM J. Scientific Computing 38(2), 2016).
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ncf.graphs.screen import LowRank
from ncf.graphs.tower import Floats

_ITEMS_AT_ONCE = 1 << 13
_PIVOTED_ITEMS = 1 << 15  # pivoting reads the whole basis once a landmark: a sample does
_RIDGE = 1e-6  # of the landmarks' mean variance
_NOUGHT = 1e-10  # of the first eigenvalue: what float32 logits cannot hold


@dataclass(frozen=True)
class Basis:
    """Directions in which users differ, over all items.

    Parameters
    ----------
    mean : float32 array of shape (items,)
        Of the sampled users' logits.
    vectors : float32 array of shape (rank, items)
        Orthonormal rows, the most important first.
    centred : float32 array of shape (users, items)
        The sampled users' logits less the mean.
    """

    mean: Floats
    vectors: Floats
    centred: Floats


def fit_basis(logits: Floats, rank: int) -> Basis:
    """Find the basis of some users' logits.

    By way of the Gram matrix over users: they are a few hundred, so that this is exact, takes two
    passes whatever the catalogue's size, and needs no random projection.

    Parameters
    ----------
    logits : float32 array of shape (users, items)
        Of the tower; overwritten.
    rank : int
        Directions at most; fewer are returned where the logits have no more.
    """
    users, items = logits.shape
    mean = logits.mean(axis=0, dtype=np.float64).astype(np.float32)
    logits -= mean
    gram = np.zeros((users, users))
    for part in _parts(items):
        wide = logits[:, part].astype(np.float64)
        gram += wide @ wide.T
    values, users_side = np.linalg.eigh(gram)
    values, users_side = values[::-1], users_side[:, ::-1]
    rank = max(1, min(rank, int(np.count_nonzero(values > _NOUGHT * values[0]))))
    # Of either sign each would do: fix it, so that the same sample gives the same bytes.
    users_side = users_side[:, :rank]
    users_side = users_side * np.where(users_side.sum(axis=0) < 0, -1, 1)
    scale = 1 / np.sqrt(np.maximum(values[:rank], np.finfo(np.float64).tiny))
    vectors = np.empty((rank, items), np.float32)
    for part in _parts(items):
        vectors[:, part] = (users_side * scale).T @ logits[:, part]
    return Basis(mean, vectors, logits)


def low_rank(basis: Basis, rank: int, landmarks: int, rng: np.random.Generator) -> LowRank:
    """Choose landmarks for the first ``rank`` directions, and fit the coefficients on them.

    Parameters
    ----------
    basis : Basis
        At least of that rank, else it is taken whole.
    rank : int
        Directions used.
    landmarks : int
        Items; the first ``rank`` by pivoted QR, the others at random: they average over what
        the basis leaves out.
    rng : numpy.random.Generator
        Draws the random ones.
    """
    vectors = basis.vectors[:rank]
    items = vectors.shape[1]
    pool = np.arange(items)
    if items > _PIVOTED_ITEMS:
        pool = np.sort(rng.choice(items, _PIVOTED_ITEMS, replace=False))
    _, pivots = linalg.qr(vectors[:, pool].astype(np.float64), mode="r", pivoting=True)
    chosen = pool[pivots[: len(vectors)]]
    others = np.setdiff1d(pool, chosen)
    extra = min(landmarks - chosen.size, others.size)
    if extra > 0:
        chosen = np.append(chosen, rng.choice(others, extra, replace=False))
    chosen = np.sort(chosen).astype(np.int64)
    known = basis.centred[:, chosen].astype(np.float64)
    wanted = (basis.centred @ vectors.T).astype(np.float64)
    gram = known.T @ known
    ridge = _RIDGE * np.trace(gram) / chosen.size or 1.0  # users may be all alike
    system = gram + ridge * np.eye(chosen.size)
    solved = linalg.solve(system, known.T @ wanted, assume_a="pos")
    coefficients = solved.astype(np.float32)
    offset = basis.mean - (basis.mean[chosen] @ coefficients) @ vectors
    return LowRank(chosen, coefficients, vectors, offset.astype(np.float32, copy=False))


def _parts(items: int) -> list[slice]:
    return [slice(at, at + _ITEMS_AT_ONCE) for at in range(0, items, _ITEMS_AT_ONCE)]
