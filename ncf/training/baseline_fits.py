"""Fit simple models to training pairs, and measure them on the validation part."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from scipy import sparse
from threadpoolctl import threadpool_limits

from ncf.baselines.climb import Settings
from ncf.baselines.ease import Matrix, ease, item_gram, memory_needed
from ncf.baselines.ials import Floats, Ials, IalsSettings
from ncf.baselines.item_item import ItemItem
from ncf.baselines.item_knn import KnnSettings, neighbours
from ncf.baselines.names import Baseline
from ncf.baselines.popular import popularity
from ncf.data.interactions import Interactions
from ncf.data.prepared import PreparedData
from ncf.devices import usable_cores
from ncf.errors import CapabilityError
from ncf.memory import free_memory
from ncf.models.architecture import Architecture, build
from ncf.models.kinds import Kind
from ncf.models.weights import Weights
from ncf.progress import report
from ncf.training.judge import Judge
from ncf.validation import Epoch

_PATIENCE = 2  # sweeps of iALS without a better figure
_SETTLED = 3  # sweeps after which iALS with other settings can be compared
_BEHIND = 0.9  # of the best try's figure after as many sweeps: no hope
_GIB = 1 << 30


@dataclass(frozen=True)
class Fitted:
    """A simple model that was fitted with some settings.

    Parameters
    ----------
    architecture : Architecture
        A GMF of these sizes, or an item-item model.
    weights : dict
        Its arrays.
    hr, ndcg : float
        Validation figures.
    history : sequence of Epoch
        Figures by sweep of iALS; empty for models that are not made in steps.
    sweeps : int or None
        Sweeps of iALS until these weights.
    """

    architecture: Architecture
    weights: Weights
    hr: float
    ndcg: float
    history: Sequence[Epoch] = ()
    sweeps: int | None = None


class Fits:
    """Fits one simple model to the training part of prepared data, with any settings.

    Parameters
    ----------
    baseline : Baseline
        The simple model.
    data : PreparedData
        Training pairs and validation cases.

    Raises
    ------
    CapabilityError
        EASE needs more memory than is free.
    """

    def __init__(self, baseline: Baseline, data: PreparedData) -> None:
        if baseline is Baseline.EASE:
            _require_memory(len(data.items))
        self._baseline, self._data = baseline, data
        self._pairs = data.train.csr()
        self._judge = Judge(data)
        self._best: Sequence[Epoch] = ()

    @property
    def protocol(self) -> str:
        """How validation measures."""
        return self._judge.protocol

    def fit(self, settings: Settings) -> Fitted:
        """Fit with some settings, and measure."""
        if self._baseline is Baseline.IALS:
            return self._ials(settings)
        if self._baseline is Baseline.POPULAR:
            return self._measured(rows_of(Baseline.POPULAR, self._data.train, settings, 1))
        if self._baseline is Baseline.EASE:
            weights: Weights = ease(self._gram, settings["l2"])
        else:
            chosen = KnnSettings(
                int(settings["neighbours"]), settings["shrinkage"], settings["asymmetry"]
            )
            weights = cast("Weights", neighbours(self._pairs, chosen))
        hr, ndcg = self._judge.measure_items(ItemItem.of_arrays(weights, self._pairs))
        width = next(iter(weights.values())).shape[1]
        shape = Architecture(Kind.ITEM_ITEM, *self._pairs.shape, width, 1)
        return Fitted(shape, weights, hr, ndcg)

    @cached_property
    def _gram(self) -> Matrix:
        return item_gram(self._pairs)

    def _measured(self, weights: Weights) -> Fitted:
        shape = _gmf(weights)
        network = build(shape)
        network.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()})
        return Fitted(shape, weights, *self._judge.measure(network))

    def _ials(self, settings: Settings) -> Fitted:
        """Sweep until validation gets no better, or stays far behind, and take the best sweep."""
        history: list[Epoch] = []
        best: Fitted | None = None
        solver = _solver(self._pairs, settings)
        for sweep in range(1, int(settings["sweeps"]) + 1):
            _sweep(solver, f"sweep {sweep}")
            found = self._measured(_weights(solver.users, solver.items))
            history.append(Epoch(sweep, None, found.hr, found.ndcg))
            if best is None or found.ndcg > best.ndcg:
                best = Fitted(found.architecture, found.weights, found.hr, found.ndcg, (), sweep)
            elif sweep - (best.sweeps or 0) >= _PATIENCE:
                break
            if self._is_hopeless(history):
                break
        kept = cast("Fitted", best)
        if kept.ndcg > max((each.ndcg for each in self._best), default=0.0):
            self._best = history
        return Fitted(
            kept.architecture, kept.weights, kept.hr, kept.ndcg, tuple(history), kept.sweeps
        )

    def _is_hopeless(self, history: Sequence[Epoch]) -> bool:
        """Whether a try is far behind the best one after as many sweeps."""
        now = len(history)
        if not _SETTLED <= now <= len(self._best):
            return False
        return history[-1].ndcg < _BEHIND * self._best[now - 1].ndcg


def rows_of(
    baseline: Baseline, pairs: Interactions, settings: Settings, sweeps: int | None
) -> Weights:
    """Fit rows of users and items to pairs, as the weights of a GMF, and measure nothing."""
    matrix = pairs.csr()
    if baseline is Baseline.POPULAR:
        ones = np.ones((matrix.shape[0], 1), np.float32)
        return _weights(ones, popularity(matrix)[:, None])
    solver = _solver(matrix, settings)
    for sweep in range(1, (sweeps or 1) + 1):
        _sweep(solver, f"sweep {sweep} on everything")
    return _weights(solver.users, solver.items)


def _solver(pairs: sparse.csr_array, settings: Settings) -> Ials:
    chosen = IalsSettings(
        int(settings["factors"]), settings["unseen"], settings["l2"], settings["exponent"]
    )
    rng = np.random.default_rng(int(settings["seed"]))
    return Ials(pairs, chosen, rng, min(torch.get_num_threads(), usable_cores()))


def _sweep(solver: Ials, name: str) -> None:
    # Each thread solves small systems: a BLAS that starts threads of its own gets in the way.
    rows = len(solver.users) + len(solver.items)
    with threadpool_limits(1), report(name, rows) as progress:
        solver.sweep(progress.advance)


def _weights(users: Floats, items: Floats) -> Weights:
    """Lay rows out as the weights of a GMF whose output layer is a plain sum."""
    width = users.shape[1]
    return {
        "gmf.user.weight": users,
        "gmf.item.weight": items,
        "output.weight": np.ones((1, width), np.float32),
        "output.bias": np.zeros(1, np.float32),
    }


def _gmf(weights: Weights) -> Architecture:
    n_users, width = weights["gmf.user.weight"].shape
    return Architecture(Kind.GMF, n_users, len(weights["gmf.item.weight"]), width, 1)


def _require_memory(n_items: int) -> None:
    needed, free = memory_needed(n_items), free_memory()
    if needed > free:
        raise CapabilityError(
            f"EASE needs {needed / _GIB:.1f} GiB for a matrix of {n_items:,} x {n_items:,} items, "
            f"and {free / _GIB:.1f} GiB are free",
            remedy="train item-knn or ials instead, or prepare data with fewer items",
        )
