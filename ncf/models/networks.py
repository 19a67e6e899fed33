"""The networks of He et al., "Neural collaborative filtering", WWW 2017.

A GMF branch multiplies a user and an item embedding (eq. 8), an MLP branch sends both through a
tower (eq. 10); an output layer turns what they give into one logit. Equation numbers are the
paper's.

Both branches are written in two steps: what depends on the user alone and what depends on the
item alone (a *side*), then what needs the pair. The first layer of the tower splits so, as
``W1 [p'; q'] + b1 = W1_user p' + (W1_item q' + b1)``. A user who meets many items, an item that
meets many users, pay for their side once.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncf.models.branches import Branch, MLPBranch

Side = tuple[Tensor, ...]
"""What is left of users, or of items, once the other side is all that is missing."""


class Network(nn.Module, ABC):
    """A scorer of pairs, in two steps."""

    @abstractmethod
    def user_side(self, user: Tensor) -> Side:
        """Turn user indices of shape ``(n,)`` into float32 arrays of shape ``(n, width)``."""

    @abstractmethod
    def item_side(self, item: Tensor) -> Side:
        """Turn item indices of any shape into float32 arrays of that shape and a width."""

    @abstractmethod
    def pair(self, user: Side, item: Side) -> Tensor:
        """Score each user with its items.

        Parameters
        ----------
        user : tuple of float32 tensors of shape (n, width)
            From :meth:`user_side`.
        item : tuple of float32 tensors of shape (n, m, width)
            From :meth:`item_side`.

        Returns
        -------
        float32 tensor of shape (n, m)
            Logits.
        """

    @abstractmethod
    def branches(self) -> list[Branch]:
        """Embeddings of users and of items, by branch."""

    @property
    def n_items(self) -> int:
        """Rows of the item tables."""
        return self.branches()[0].item.num_embeddings

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Score each user with items of its own.

        Where the pairs are more than the catalogue, each item's side is computed once.

        Parameters
        ----------
        user : int tensor of shape (n,)
            User indices.
        item : int tensor of shape (n, m)
            Item indices.

        Returns
        -------
        float32 tensor of shape (n, m)
            Logits.
        """
        if item.numel() <= self.n_items:
            return self.pair(self.user_side(user), self.item_side(item))
        catalogue = self.item_side(torch.arange(self.n_items, device=item.device))
        rows = tuple(functional.embedding(item, side) for side in catalogue)
        return self.pair(self.user_side(user), rows)

    def squared_norm(self, user: Tensor, item: Tensor, weight: Tensor) -> Tensor:
        """Sum the squared embeddings of users ``(n,)``, and weighted of items ``(n, m)``."""
        return torch.stack([b.squared_norm(user, item, weight) for b in self.branches()]).sum()


class GMF(Network):
    """Generalised matrix factorisation (eq. 9)."""

    def __init__(self, n_users: int, n_items: int, factors: int) -> None:
        super().__init__()
        self.gmf = Branch(n_users, n_items, factors)
        self.output = _output(factors)

    def user_side(self, user: Tensor) -> Side:
        """``h * p``, of the paper's letters."""
        return (self.gmf.user(user) * self.output.weight,)

    def item_side(self, item: Tensor) -> Side:
        """``q``."""
        return (self.gmf.item(item),)

    def pair(self, user: Side, item: Side) -> Tensor:
        """``h . (p * q)`` and the bias."""
        return _dot(user[0], item[0]) + self.output.bias

    def branches(self) -> list[Branch]:
        """Only one."""
        return [self.gmf]


class MLP(Network):
    """Multi-layer perceptron (eq. 10)."""

    def __init__(
        self, n_users: int, n_items: int, factors: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.mlp = MLPBranch(n_users, n_items, factors, layers, dropout)
        self.output = _output(factors)

    def user_side(self, user: Tensor) -> Side:
        """First layer's share of the user."""
        return (self.mlp.user_side(user),)

    def item_side(self, item: Tensor) -> Side:
        """First layer's share of the item."""
        return (self.mlp.item_side(item),)

    def pair(self, user: Side, item: Side) -> Tensor:
        """Later layers, and the output layer."""
        logits: Tensor = self.output(self.mlp(user[0], item[0])).squeeze(-1)
        return logits

    def branches(self) -> list[Branch]:
        """Only one."""
        return [self.mlp]


class NeuMF(Network):
    """Both branches side by side under one output layer (eq. 12).

    Parameters
    ----------
    gmf : Branch
        Its two embeddings are multiplied.
    mlp : MLPBranch
        Its two embeddings go through the tower.
    """

    def __init__(self, gmf: Branch, mlp: MLPBranch) -> None:
        super().__init__()
        self.gmf, self.mlp = gmf, mlp
        self.output = _output(gmf.width + mlp.factors)

    def user_side(self, user: Tensor) -> Side:
        """Both branches' sides."""
        head = self.output.weight[:, : self.gmf.width]
        return self.gmf.user(user) * head, self.mlp.user_side(user)

    def item_side(self, item: Tensor) -> Side:
        """Both branches' sides."""
        return self.gmf.item(item), self.mlp.item_side(item)

    def pair(self, user: Side, item: Side) -> Tensor:
        """Sum of both branches under the output layer."""
        head = self.output.weight[:, self.gmf.width :]
        tower = functional.linear(self.mlp(user[1], item[1]), head, self.output.bias)
        return _dot(user[0], item[0]) + tower.squeeze(-1)

    def branches(self) -> list[Branch]:
        """GMF first."""
        return [self.gmf, self.mlp]

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


def _dot(user: Tensor, item: Tensor) -> Tensor:
    """Inner products of ``(n, width)`` with ``(n, m, width)``: ``(n, m)``."""
    return torch.matmul(item, user.unsqueeze(-1)).squeeze(-1)


def _output(width: int) -> nn.Linear:
    linear = nn.Linear(width, 1)
    nn.init.kaiming_uniform_(linear.weight, a=1, nonlinearity="sigmoid")
    nn.init.zeros_(linear.bias)
    return linear
