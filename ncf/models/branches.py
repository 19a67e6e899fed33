"""The branches that make up a network: embeddings of users and items, and the tower over them.

Equation numbers are those of He et al., "Neural collaborative filtering", WWW 2017.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_EMBEDDING_STD = 0.01


class Branch(nn.Module):
    """A branch with one embedding table for users and one for items.

    Parameters
    ----------
    n_users, n_items : int
        Rows of the embeddings.
    width : int
        Width of both embeddings.
    """

    def __init__(self, n_users: int, n_items: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.user = _embedding(n_users, width)
        self.item = _embedding(n_items, width)

    def squared_norm(self, user: Tensor, item: Tensor, weight: Tensor) -> Tensor:
        """Sum the squares of embeddings of users ``(n,)`` and, weighted, of items ``(n, m)``."""
        if item.numel() <= len(self.item.weight):
            of_items = self.item(item).square().sum(dim=-1) * weight
        else:  # each item once, weighted by how often it occurs
            times = torch.bincount(item.flatten(), weight.flatten(), len(self.item.weight))
            of_items = self.item.weight.square().sum(dim=-1) * times
        total: Tensor = self.user(user).square().sum() + of_items.sum()
        return total


class MLPBranch(Branch):
    """A branch with a tower: each layer is half as wide as the one before (eq. 10).

    Parameters
    ----------
    n_users, n_items : int
        Rows of the embeddings.
    factors : int
        Width of the last layer; the embeddings are ``factors * 2**(layers - 1)`` wide.
    layers : int
        Count of layers, at least 1.
    dropout : float
        Share of each layer's inputs that training zeroes.
    """

    def __init__(
        self, n_users: int, n_items: int, factors: int, layers: int, dropout: float
    ) -> None:
        width = factors * 2 ** (layers - 1)
        super().__init__(n_users, n_items, width)
        self.factors = factors
        self.tower = nn.ModuleList(
            _layer(2 * width // 2**layer, width // 2**layer) for layer in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def user_side(self, user: Tensor) -> Tensor:
        """Compute the user's share of the first layer, of width ``factors * 2**(layers - 1)``."""
        return functional.linear(self.dropout(self.user(user)), self._first.weight[:, : self.width])

    def item_side(self, item: Tensor) -> Tensor:
        """Compute the item's share of the first layer, with its bias; it has the same width."""
        weight = self._first.weight[:, self.width :]
        return functional.linear(self.dropout(self.item(item)), weight, self._first.bias)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Run the tower: sides ``(n, width)`` and ``(n, m, width)`` become ``(n, m, factors)``."""
        hidden = torch.relu(user.unsqueeze(-2) + item)
        for linear in list(self.tower)[1:]:
            hidden = torch.relu(linear(self.dropout(hidden)))
        return hidden

    @property
    def _first(self) -> nn.Linear:
        return cast("nn.Linear", self.tower[0])


def _embedding(rows: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(rows, width)
    nn.init.normal_(embedding.weight, std=_EMBEDDING_STD)
    return embedding


def _layer(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
