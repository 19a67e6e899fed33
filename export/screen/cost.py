"""Estimate the arithmetic of exact and screened ranking, to decide whether a screen is faster.

The unit is a floating point operation at the speed of a matrix product. The constants for other
work were fitted to ONNX Runtime's profile on one AVX2 machine; a factor of two is precise enough.
They are not measured at export, because the bundle's bytes would then depend on timing.
"""

import itertools
from dataclasses import dataclass

from ncf.graphs.tower import catalogue_size, heads, row_width
from ncf.models.weights import Weights

_PASS = 160.0  # for each item: masks, seen items and choosing the best
_CANDIDATE = 2.0  # times the tower's cost: gathering rows, sorting, small products
_CALL = 4e5  # for each user: operators of a few microseconds


@dataclass(frozen=True)
class Cost:
    """Arithmetic for one user of a model.

    Parameters
    ----------
    items : int
        Size of the catalogue.
    gmf : int
        Factors of the GMF branch; 0 if there is none.
    tower : float
        Operations of the split tower for a pair.
    width : int
        Width of the tower's rows.
    """

    items: int
    gmf: int
    tower: float
    width: int

    @classmethod
    def of(cls, weights: Weights) -> "Cost":
        """Read a model's sizes."""
        gmf_head, mlp_head = heads(weights)
        layers = sum(name.startswith("mlp.tower.") for name in weights) // 2
        widths = [weights[f"mlp.tower.{layer}.bias"].size for layer in range(layers)]
        later = sum(2.0 * above * below for above, below in itertools.pairwise(widths))
        tower = later + 2.0 * widths[0] + 2.0 * mlp_head.size if layers else 0.0
        return cls(
            catalogue_size(weights), gmf_head.size, tower, row_width(weights) - gmf_head.size
        )

    def exact(self) -> float:
        """Cost of exact ranking: the tower of every item."""
        return self.items * (self.tower + 2 * self.gmf + _PASS)

    def screened(self, rank: int, relus: int, candidates: int, hard: float = 0.0) -> float:
        """Cost of screening: a user's coordinates, one product over the catalogue, candidates.

        ``hard`` is the share of users who are ranked exactly after that.
        """
        features = self.gmf + self.width + relus
        coordinates = 2.0 * (self.width * relus + features * rank)
        towers = candidates * self.tower * _CANDIDATE
        product = self.items * (2 * rank + _PASS)
        return coordinates + towers + product + _CALL + hard * self.exact()

    def gain(self, rank: int, relus: int, candidates: int, hard: float = 0.0) -> float:
        """Speed-up of the screen."""
        return self.exact() / self.screened(rank, relus, candidates, hard)
