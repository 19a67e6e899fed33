"""What exact and screened ranking cost a user, as arithmetic: decides whether a screen pays.

In floating point operations at the speed of a matrix product. The constants that stand for other
work were fitted to ONNX Runtime's profile on one AVX2 machine; they need to be right by a factor
of two, not more, and measuring at export would make the bundle's bytes depend on the weather.
"""

import itertools
from dataclasses import dataclass

from ncf.graphs.tower import catalogue_size, heads
from ncf.models.weights import Weights

_PASS = 160.0  # an item: masks, seen items and choosing the best
_CANDIDATE = 2.0  # times the tower: gathering its row, sorting, small products
_CALL = 4e5  # a user: operators of a few microseconds


@dataclass(frozen=True)
class Cost:
    """Arithmetic a user, for one model.

    Parameters
    ----------
    items : int
        Size of the catalogue.
    gmf : int
        Factors of the GMF branch; 0 where there is none.
    tower : float
        Operations of the split tower, a pair.
    """

    items: int
    gmf: int
    tower: float

    @classmethod
    def of(cls, weights: Weights) -> "Cost":
        """Read a model's sizes."""
        gmf_head, mlp_head = heads(weights)
        layers = sum(name.startswith("mlp.tower.") for name in weights) // 2
        widths = [weights[f"mlp.tower.{layer}.bias"].size for layer in range(layers)]
        later = sum(2.0 * above * below for above, below in itertools.pairwise(widths))
        tower = later + 2.0 * widths[0] + 2.0 * mlp_head.size if layers else 0.0
        return cls(catalogue_size(weights), gmf_head.size, tower)

    def exact(self) -> float:
        """Every item's tower."""
        return self.items * (self.tower + 2 * self.gmf + _PASS)

    def screened(self, rank: int, landmarks: int, candidates: int) -> float:
        """Landmarks' and candidates' towers, and one product over the catalogue."""
        towers = (landmarks + candidates) * self.tower * _CANDIDATE
        return towers + self.items * (2 * (self.gmf + rank) + _PASS) + _CALL

    def gain(self, rank: int, landmarks: int, candidates: int) -> float:
        """How many times the screen is faster."""
        return self.exact() / self.screened(rank, landmarks, candidates)
