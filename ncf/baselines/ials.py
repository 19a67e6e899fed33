"""iALS: matrix factorisation by alternating least squares over all pairs, the unseen too."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float32]

_SPREAD = 0.1
_NUMBERS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class IalsSettings:
    """Settings of iALS.

    Parameters
    ----------
    factors : int
        Width of the rows of users and items, at least 1.
    unseen : float
        Weight of every pair, seen or not, against 0: alpha_0 of the paper; above 0.
    l2 : float
        Weight of the squares, lambda of the paper, times ``(count + unseen * others)^exponent`` of
        each row; above 0.
    exponent : float
        From 0, the same for all rows, to 1, as much for each pair: nu of the paper.
    """

    factors: int = 128
    unseen: float = 0.1
    l2: float = 0.003
    exponent: float = 1.0


class Ials:
    """Rows of users and items, improved by sweeps.

    A sweep solves the rows of all items, and then those of all users, exactly:

        sum over pairs of (p q - 1)^2  +  unseen * sum over all of (p q)^2  +  L2 of each row

    Source: Rendle, Krichene, Zhang and Koren, "Revisiting the performance of iALS on item
    recommendation benchmarks", RecSys 2022, equations 2 to 4.

    Parameters
    ----------
    pairs : csr_array of shape (users, items)
        Ones at the training pairs.
    settings : IalsSettings
        What varies.
    rng : numpy.random.Generator
        Draws the rows of users that the first sweep starts from.
    threads : int
        Threads that solve blocks of rows side by side.
    """

    def __init__(
        self,
        pairs: sparse.csr_array,
        settings: IalsSettings,
        rng: np.random.Generator,
        threads: int = 1,
    ) -> None:
        self._of_users, self._of_items = sparse.csr_array(pairs), sparse.csr_array(pairs.T)
        self._settings, self._threads = settings, threads
        width = settings.factors
        scale = np.float32(_SPREAD / width**0.5)
        self.users: Floats = rng.standard_normal((pairs.shape[0], width), np.float32) * scale
        self.items: Floats = np.zeros((pairs.shape[1], width), np.float32)

    def sweep(self, advance: Callable[[int], object] | None = None) -> None:
        """Solve all items, then all users; ``advance`` is told the count of rows solved."""
        self.items = self._solve(self._of_items, self.users, advance)
        self.users = self._solve(self._of_users, self.items, advance)

    def _solve(
        self, pairs: sparse.csr_array, others: Floats, advance: Callable[[int], object] | None
    ) -> Floats:
        """Solve the rows of one side for fixed rows of the other.

        In the eigenvectors of what all rows share, ``unseen * others^T others``, that and the L2
        are a diagonal D. A row with the pairs V then is ``(D + V^T V)^-1 V^T 1``, which is
        ``D^-1 V^T (I + V D^-1 V^T)^-1 1``: a system as large as the row has pairs, where these are
        fewer than the factors.
        """
        settings, counts = self._settings, np.diff(pairs.indptr)
        width = settings.factors
        levels, turn = np.linalg.eigh(settings.unseen * (others.T @ others).astype(np.float64))
        shared, turn = np.maximum(levels, 0).astype(np.float32), turn.astype(np.float32)
        l2 = settings.l2 * (counts + settings.unseen * len(others)) ** settings.exponent
        padded = np.concatenate([others @ turn, np.zeros((1, width), np.float32)])
        found = np.zeros((len(counts), width), np.float32)

        def solve(rows: npt.NDArray[np.intp]) -> int:
            lengths = counts[rows]
            columns = np.arange(lengths[-1])
            at = np.minimum(pairs.indptr[rows][:, None] + columns, max(pairs.nnz - 1, 0))
            chosen = np.where(columns < lengths[:, None], pairs.indices[at], len(others))
            own = padded[chosen]
            diagonal = shared + l2[rows, None].astype(np.float32)
            solve_rows = _by_pairs if lengths[-1] < width else _by_factors
            found[rows] = solve_rows(own, diagonal)
            return rows.size

        with ThreadPoolExecutor(self._threads) as pool:
            for done in pool.map(solve, _blocks(counts, width)):
                if advance is not None:
                    advance(done)
        turned_back: Floats = found @ turn.T
        return turned_back


def _by_factors(own: Floats, diagonal: Floats) -> Floats:
    """Solve rows with the pairs ``own``, ``(rows, pairs, factors)``: a system of factors each."""
    left: Floats = own.transpose(0, 2, 1) @ own
    _add_to_diagonal(left, diagonal)
    solved: Floats = np.linalg.solve(left, own.sum(axis=1)[..., None])[..., 0]
    return solved


def _by_pairs(own: Floats, diagonal: Floats) -> Floats:
    """Solve the same by a system of pairs each."""
    over: Floats = own / diagonal[:, None]
    left: Floats = over @ own.transpose(0, 2, 1)
    _add_to_diagonal(left, 1)
    shares = np.linalg.solve(left, np.ones((*left.shape[:2], 1), np.float32))
    solved: Floats = (over.transpose(0, 2, 1) @ shares)[..., 0]
    return solved


def _add_to_diagonal(matrices: Floats, values: Floats | int) -> None:
    at = np.arange(matrices.shape[-1])
    matrices[:, at, at] += values


def _blocks(counts: npt.NDArray[np.integer], width: int) -> list[npt.NDArray[np.intp]]:
    """Put rows of like length together, so that little is padded and memory is bounded."""
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]  # a row without a pair stays zero
    blocks, end = [], order.size
    while end:
        longest = int(counts[order[end - 1]])
        numbers = longest * width
        start = max(0, end - max(1, _NUMBERS_AT_ONCE // numbers))
        blocks.append(order[start:end])
        end = start
    return blocks
