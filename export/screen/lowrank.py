"""Fit a low-rank stand-in for the MLP tower: all items' logits from a few items' exact ones.

In trained models, the tower's logits minus each item's mean over users are close to low rank. A
sample of users gives a basis over items; a user's coefficients in it are a linear function of the
user's exact logits of a few landmark items. See docs/screening.md.

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
_PIVOTED_ITEMS = 1 << 15  # pivoting reads the whole basis for each landmark, so a sample is used
_RIDGE = 1e-6  # as a share of the landmarks' mean variance
_NOUGHT = 1e-10  # as a share of the first eigenvalue: below the precision of float32 logits


@dataclass(frozen=True)
class Basis:
    """A basis over all items: the directions in which users differ.

    Parameters
    ----------
    mean : float32 array of shape (items,)
        Mean of the sampled users' logits.
    vectors : float32 array of shape (rank, items)
        Orthonormal rows, the most important first.
    centred : float32 array of shape (users, items)
        The sampled users' logits minus the mean.
    """

    mean: Floats
    vectors: Floats
    centred: Floats


def fit_basis(logits: Floats, rank: int) -> Basis:
    """Find a basis of some users' logits.

    It uses the Gram matrix over users. As there are only a few hundred, this is exact, takes two
    passes for any size of catalogue, and needs no random projection.

    Parameters
    ----------
    logits : float32 array of shape (users, items)
        Logits of the tower; overwritten.
    rank : int
        Largest number of directions; there are fewer if the logits have no more.
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
    # The sign of a vector is arbitrary; fix it, so that the same sample gives the same bytes.
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
        The basis; if its rank is lower, all of it is used.
    rank : int
        Number of directions used.
    landmarks : int
        Number of items; the first ``rank`` are chosen by pivoted QR. The others are random, to
        average over what the basis leaves out.
    rng : numpy.random.Generator
        Draws the random landmarks.
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
    ridge = _RIDGE * np.trace(gram) / chosen.size or 1.0  # all users may be alike
    system = gram + ridge * np.eye(chosen.size)
    solved = linalg.solve(system, known.T @ wanted, assume_a="pos")
    coefficients = solved.astype(np.float32)
    offset = basis.mean - (basis.mean[chosen] @ coefficients) @ vectors
    return LowRank(chosen, coefficients, vectors, offset.astype(np.float32, copy=False))


def _parts(items: int) -> list[slice]:
    return [slice(at, at + _ITEMS_AT_ONCE) for at in range(0, items, _ITEMS_AT_ONCE)]
