"""Fit the guess of a screen: all items' logits by one product of a user's row.

GMF is linear in the user's row already. The MLP tower is nearly so in a trained model: ridge
regression of sampled users' exact tower logits on their rows, with random relu features of the
row beside them, leaves little. Both parts together are then reduced to the few directions in which
users' guesses differ. See docs/screening.md.

Sources: ridge regression, Hoerl and Kennard, Technometrics 12(1), 1970; random features, Rahimi
and Recht, "Weighted sums of random kitchen sinks", NIPS 2008; the reduction is reduced-rank
regression, Izenman, J. Multivariate Analysis 5(2), 1975.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from export.screen.sampling import ExactLogits, blocks
from ncf.graphs.screen import Guess
from ncf.graphs.tower import Floats, heads
from ncf.models.weights import Weights

_MOST_RELUS, _FEWEST_RELUS = 512, 16
_USERS_A_RELU = 2  # with fewer users for each feature, the regression learns noise
_RIDGE = 0.02  # as a share of a feature's variance
_SPREAD = 0.5  # of the shifts, in standard deviations of a direction
_FLOOR = 1e-3  # least spread of a feature, as a share of the largest
_NOUGHT = 1e-6  # keeps the covariance positive, as a share of its mean variance
_ITEMS_AT_ONCE = 1 << 13
_AT_ONCE = 64  # users

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A guess of every rank up to a largest one; the first vectors are the most important.

    Parameters
    ----------
    full : Guess
        The guess of the largest rank.
    """

    full: Guess

    def at_rank(self, rank: int) -> Guess:
        """Give the best guess of a rank, or of the largest one if that is lower."""
        full = self.full
        return Guess(
            full.directions,
            full.shifts,
            np.ascontiguousarray(full.encoder[:, :rank]),
            full.start[:rank],
            full.vectors[:rank],
            full.offset,
        )


def fit_guess(
    weights: Weights,
    exact: ExactLogits,
    users: npt.NDArray[np.int64],
    rank: int,
    rng: np.random.Generator,
) -> Fitted:
    """Fit a guess on sampled users.

    Parameters
    ----------
    weights : dict
        Weights of an MLP or a NeuMF.
    exact : ExactLogits
        Computes the tower's logits of the users.
    users : int64 array of shape (n,)
        Users to fit on.
    rank : int
        Largest rank.
    rng : numpy.random.Generator
        Draws the relu features.
    """
    gmf = heads(weights)[0].size
    rows = exact.rows(users)
    relus = min(_MOST_RELUS, max(_FEWEST_RELUS, users.size // _USERS_A_RELU))
    directions, shifts = _relus(rows[:, gmf:], relus, rng)
    features = np.concatenate(
        [rows, np.maximum(rows[:, gmf:] @ directions + shifts, 0)], axis=1
    ).astype(np.float64)
    middle = features.mean(axis=0)
    features -= middle
    items, mean = _ridge(exact, users, features[:, gmf:])
    if gmf:
        own = np.ascontiguousarray(weights["gmf.item.weight"].T)
        mean = mean + (middle[:gmf] @ own).astype(np.float32)
        items = np.concatenate([own, items])
    encoder, vectors = _reduced(features, items, rank)
    start = -(middle @ encoder)
    return Fitted(
        Guess(
            directions,
            shifts,
            encoder.astype(np.float32),
            start.astype(np.float32),
            vectors,
            mean.astype(np.float32, copy=False),
        )
    )


def _relus(rows: Floats, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw directions and shifts whose relus bend where users are."""
    width = rows.shape[1]
    scale = float(rows.std(axis=0).mean()) or 1.0  # all users may be alike
    directions = rng.normal(size=(width, count)) / (scale * np.sqrt(width))
    shifts = _SPREAD * rng.normal(size=count) - rows.mean(axis=0) @ directions
    return directions.astype(np.float32), shifts.astype(np.float32)


def _ridge(
    exact: ExactLogits, users: npt.NDArray[np.int64], features: Doubles
) -> tuple[Floats, Floats]:
    """Regress the tower's logits on centred features: coefficients ``(f, items)``, and mean."""
    scale = features.std(axis=0)
    scale = np.maximum(scale, _FLOOR * scale.max()) if scale.max() else np.ones_like(scale)
    scaled = (features / scale).astype(np.float32)
    products: Floats | None = None
    total: Doubles | None = None
    first: Floats | None = None
    for at in blocks(users, _AT_ONCE):
        logits = exact.tower(users[at])
        if products is None or total is None or first is None:
            first = logits.mean(axis=0)
            products = np.zeros((features.shape[1], first.size), np.float32)
            total = np.zeros(first.size)
        logits -= first
        products += scaled[at].T @ logits
        total += logits.sum(axis=0, dtype=np.float64)
    if products is None or total is None or first is None:
        raise ValueError("no users to fit on")
    gram = scaled.T.astype(np.float64) @ scaled
    gram[np.diag_indices_from(gram)] += _RIDGE * users.size
    inverse = linalg.inv(gram) / scale[:, None]
    solver = inverse.astype(np.float32)
    for part in _parts(first.size):
        products[:, part] = solver @ products[:, part]
    return products, first + (total / users.size).astype(np.float32)


def _reduced(features: Doubles, items: Floats, rank: int) -> tuple[Doubles, Floats]:
    """Reduce ``features @ items`` to a rank, losing least over the sampled users."""
    gram = features.T @ features / len(features)
    gram[np.diag_indices_from(gram)] += _NOUGHT * np.trace(gram) / len(gram) or 1.0
    lower = linalg.cholesky(gram, lower=True)
    outer = np.zeros_like(gram)
    for part in _parts(items.shape[1]):
        wide = items[:, part].astype(np.float64)
        outer += wide @ wide.T
    _, turned = linalg.eigh(lower.T @ outer @ lower)
    turned = turned[:, ::-1][:, :rank]
    # The sign of a direction is arbitrary; fix it, so that the same sample gives the same bytes.
    turned = turned * np.where(turned.sum(axis=0) < 0, -1, 1)
    encoder = linalg.solve_triangular(lower.T, turned, lower=False)
    decoder = (turned.T @ lower.T).astype(np.float32)
    vectors = np.empty((turned.shape[1], items.shape[1]), np.float32)
    for part in _parts(items.shape[1]):
        vectors[:, part] = decoder @ items[:, part]
    return encoder, vectors


def _parts(items: int) -> list[slice]:
    return [slice(at, at + _ITEMS_AT_ONCE) for at in range(0, items, _ITEMS_AT_ONCE)]
