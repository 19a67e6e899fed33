"""Describe a network by kind and sizes, and build it."""

from dataclasses import dataclass

from ncf.errors import ConfigError, UsageError
from ncf.models.branches import Branch, MLPBranch
from ncf.models.kinds import Kind
from ncf.models.networks import GMF, MLP, Network, NeuMF

NO_ROWS = "an item-item model (ease, item-knn) has no row for a user, as the exported graphs need"
ROWS = "export a network, ials or popular"


@dataclass(frozen=True)
class Architecture:
    """The kind and the sizes of a network.

    Parameters
    ----------
    kind : Kind
        Which network.
    n_users, n_items : int
        Rows of the embeddings, at least 1.
    factors : int
        Predictive factors, the width of a branch's input to the output layer; at least 1. Of an
        item-item model: items that each item has a weight for.
    layers : int
        Layers of the MLP tower, 1 to 5; each halves the width, so that the embeddings of the
        MLP branch are ``factors * 2**(layers - 1)`` wide.
    dropout : float
        Share of inputs dropped before each tower layer, in [0, 1).
    gmf_factors : int or None
        Predictive factors of the GMF branch, where they differ from ``factors``.
    """

    kind: Kind
    n_users: int
    n_items: int
    factors: int
    layers: int
    dropout: float = 0.0
    gmf_factors: int | None = None

    def __post_init__(self) -> None:
        """Check ranges."""
        if min(self.n_users, self.n_items, self.factors, self.gmf_width) < 1:
            raise ConfigError("n_users, n_items, factors and gmf_factors must be at least 1")
        if not 1 <= self.layers <= 5:
            raise ConfigError(f"layers = {self.layers} is outside 1 to 5")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout = {self.dropout} is outside [0, 1)")

    @property
    def gmf_width(self) -> int:
        """Width of the GMF branch's embeddings."""
        return self.factors if self.gmf_factors is None else self.gmf_factors


def build(architecture: Architecture) -> Network:
    """Build a network, and initialise it from PyTorch's global random state.

    Raises
    ------
    UsageError
        The architecture is of an item-item model, which is no network.
    """
    a = architecture
    if a.kind is Kind.ITEM_ITEM:
        raise UsageError(NO_ROWS, remedy=ROWS)
    if a.kind is Kind.GMF:
        return GMF(a.n_users, a.n_items, a.gmf_width)
    if a.kind is Kind.MLP:
        return MLP(a.n_users, a.n_items, a.factors, a.layers, a.dropout)
    gmf = Branch(a.n_users, a.n_items, a.gmf_width)
    return NeuMF(gmf, MLPBranch(a.n_users, a.n_items, a.factors, a.layers, a.dropout))
