"""Which of the three networks, how large, and building one."""

from dataclasses import dataclass

from torch import nn

from ncf.errors import ConfigError
from ncf.models.kinds import Kind
from ncf.models.networks import GMF, MLP, NeuMF


@dataclass(frozen=True)
class Architecture:
    """Shape of a network.

    Parameters
    ----------
    kind : Kind
        Which network.
    n_users, n_items : int
        Rows of the embeddings, at least 1.
    factors : int
        Predictive factors: width of what enters the output layer, a branch; at least 1.
    layers : int
        Layers of the MLP tower, 1 to 5; each halves the width, so that the embeddings of the
        MLP branch are ``factors * 2**(layers - 1)`` wide.
    dropout : float
        Before each tower layer, in [0, 1).
    """

    kind: Kind
    n_users: int
    n_items: int
    factors: int
    layers: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check ranges."""
        if min(self.n_users, self.n_items, self.factors) < 1:
            raise ConfigError("n_users, n_items and factors must be at least 1")
        if not 1 <= self.layers <= 5:
            raise ConfigError(f"layers = {self.layers} is outside 1 to 5")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout = {self.dropout} is outside [0, 1)")


def build(architecture: Architecture) -> nn.Module:
    """Make a freshly initialised network from PyTorch's global random state."""
    sizes = (architecture.n_users, architecture.n_items, architecture.factors)
    if architecture.kind is Kind.GMF:
        return GMF(*sizes)
    if architecture.kind is Kind.MLP:
        return MLP(*sizes, architecture.layers, architecture.dropout)
    return NeuMF(*sizes, architecture.layers, architecture.dropout)
