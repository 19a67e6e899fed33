"""The networks of He et al., "Neural collaborative filtering", WWW 2017.

Two branches turn a user and an item into ``factors`` numbers each; an output layer turns those
into one logit. Equation numbers are the paper's.
"""

import torch
from torch import Tensor, nn

_EMBEDDING_STD = 0.01


class GMFBranch(nn.Module):
    """Element-wise product of a user and an item embedding (eq. 8).

    Parameters
    ----------
    n_users, n_items : int
        Rows of the embeddings.
    factors : int
        Width of the embeddings and of the result.
    """

    def __init__(self, n_users: int, n_items: int, factors: int) -> None:
        super().__init__()
        self.user = _embedding(n_users, factors)
        self.item = _embedding(n_items, factors)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Turn indices of shape ``(n,)`` into float32 of shape ``(n, factors)``."""
        product: Tensor = self.user(user) * self.item(item)
        return product


class MLPBranch(nn.Module):
    """A tower of layers, each half as wide as the one before, over both embeddings (eq. 10).

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
        super().__init__()
        width = factors * 2 ** (layers - 1)
        self.user = _embedding(n_users, width)
        self.item = _embedding(n_items, width)
        self.tower = nn.ModuleList(
            _layer(2 * width // 2**layer, width // 2**layer) for layer in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Turn indices of shape ``(n,)`` into float32 of shape ``(n, factors)``."""
        hidden = torch.cat([self.user(user), self.item(item)], dim=-1)
        for linear in self.tower:
            hidden = torch.relu(linear(self.dropout(hidden)))
        return hidden


class GMF(nn.Module):
    """Generalised matrix factorisation (eq. 9)."""

    def __init__(self, n_users: int, n_items: int, factors: int) -> None:
        super().__init__()
        self.gmf = GMFBranch(n_users, n_items, factors)
        self.output = _output(factors)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Turn indices of shape ``(n,)`` into logits of shape ``(n,)``."""
        logits: Tensor = self.output(self.gmf(user, item)).squeeze(-1)
        return logits


class MLP(nn.Module):
    """Multi-layer perceptron (eq. 10)."""

    def __init__(
        self, n_users: int, n_items: int, factors: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.mlp = MLPBranch(n_users, n_items, factors, layers, dropout)
        self.output = _output(factors)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Turn indices of shape ``(n,)`` into logits of shape ``(n,)``."""
        logits: Tensor = self.output(self.mlp(user, item)).squeeze(-1)
        return logits


class NeuMF(nn.Module):
    """Both branches side by side under one output layer (eq. 12)."""

    def __init__(
        self, n_users: int, n_items: int, factors: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.gmf = GMFBranch(n_users, n_items, factors)
        self.mlp = MLPBranch(n_users, n_items, factors, layers, dropout)
        self.output = _output(2 * factors)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Turn indices of shape ``(n,)`` into logits of shape ``(n,)``."""
        features = torch.cat([self.gmf(user, item), self.mlp(user, item)], dim=-1)
        logits: Tensor = self.output(features).squeeze(-1)
        return logits

    @torch.no_grad()
    def start_from(self, gmf: GMF, mlp: MLP, mix: float = 0.5) -> None:
        """Take the weights of two trained parents (section 3.4.1, eq. 13).

        Parameters
        ----------
        gmf, mlp : GMF, MLP
            Parents of the same sizes.
        mix : float
            Weight of the GMF parent's output layer, in [0, 1]; the MLP parent's has the rest.
        """
        self.gmf.load_state_dict(gmf.gmf.state_dict())
        self.mlp.load_state_dict(mlp.mlp.state_dict())
        weights = [mix * gmf.output.weight, (1 - mix) * mlp.output.weight]
        self.output.weight.copy_(torch.cat(weights, dim=-1))
        self.output.bias.copy_(mix * gmf.output.bias + (1 - mix) * mlp.output.bias)


def _embedding(rows: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(rows, width)
    nn.init.normal_(embedding.weight, std=_EMBEDDING_STD)
    return embedding


def _layer(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _output(width: int) -> nn.Linear:
    linear = nn.Linear(width, 1)
    nn.init.kaiming_uniform_(linear.weight, a=1, nonlinearity="sigmoid")
    nn.init.zeros_(linear.bias)
    return linear
