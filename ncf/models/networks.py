"""The networks of He et al., "Neural collaborative filtering", WWW 2017.

A GMF branch multiplies a user and an item embedding (eq. 8), an MLP branch sends both through a
tower (eq. 10), and an output layer turns the result into one logit. Equation numbers are the
paper's.

Both branches compute in two steps: first a *side*, which depends on the user alone or on the item
alone, then the rest, which needs the pair. The first layer of the tower splits in this way:
``W1 [p'; q'] + b1 = W1_user p' + (W1_item q' + b1)``. So the side of a user with many items, or
of an item with many users, is computed once.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncf.models.branches import Branch, MLPBranch

Side = tuple[Tensor, ...]
"""Arrays that depend on users alone or on items alone, one for each branch."""


class Network(nn.Module, ABC):
    """A network that scores pairs in two steps: sides, then pairs."""

    @abstractmethod
    def user_side(self, user: Tensor) -> Side:
        """Compute the sides of users ``(n,)``: float32 arrays of shape ``(n, width)``."""

    @abstractmethod
    def item_side(self, item: Tensor) -> Side:
        """Compute the sides of items of any shape: float32 arrays of that shape and a width."""

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
        """List the branches, which hold the embeddings."""

    @property
    def n_items(self) -> int:
        """Count of items, the rows of the item embeddings."""
        return self.branches()[0].item.num_embeddings

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Score each user with its own items.

        Where there are more pairs than items, each item's side is computed once.

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
        """Sum the squares of embeddings of users ``(n,)`` and, weighted, of items ``(n, m)``."""
        return torch.stack([b.squared_norm(user, item, weight) for b in self.branches()]).sum()


class GMF(Network):
    """Generalised matrix factorisation (eq. 9)."""

    def __init__(self, n_users: int, n_items: int, factors: int) -> None:
        super().__init__()
        self.gmf = Branch(n_users, n_items, factors)
        self.output = _output(factors)

    def user_side(self, user: Tensor) -> Side:
        """Compute ``h * p``, in the paper's letters."""
        return (self.gmf.user(user) * self.output.weight,)

    def item_side(self, item: Tensor) -> Side:
        """``q``."""
        return (self.gmf.item(item),)

    def pair(self, user: Side, item: Side) -> Tensor:
        """Compute ``h . (p * q)`` and add the bias."""
        return _dot(user[0], item[0]) + self.output.bias

    def branches(self) -> list[Branch]:
        """List the one branch."""
        return [self.gmf]


class MLP(Network):
    """Multi-layer perceptron over both embeddings (eq. 10)."""

    def __init__(
        self, n_users: int, n_items: int, factors: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.mlp = MLPBranch(n_users, n_items, factors, layers, dropout)
        self.output = _output(factors)

    def user_side(self, user: Tensor) -> Side:
        """Compute the user's share of the first layer."""
        return (self.mlp.user_side(user),)

    def item_side(self, item: Tensor) -> Side:
        """Compute the item's share of the first layer."""
        return (self.mlp.item_side(item),)

    def pair(self, user: Side, item: Side) -> Tensor:
        """Compute the later layers and the output layer."""
        logits: Tensor = self.output(self.mlp(user[0], item[0])).squeeze(-1)
        return logits

    def branches(self) -> list[Branch]:
        """List the one branch."""
        return [self.mlp]


class NeuMF(Network):
    """A network of both branches side by side under one output layer (eq. 12).

    Parameters
    ----------
    gmf : Branch
        Multiplies its two embeddings.
    mlp : MLPBranch
        Sends its two embeddings through the tower.
    """

    def __init__(self, gmf: Branch, mlp: MLPBranch) -> None:
        super().__init__()
        self.gmf, self.mlp = gmf, mlp
        self.output = _output(gmf.width + mlp.factors)

    def user_side(self, user: Tensor) -> Side:
        """Compute the user's side in both branches."""
        head = self.output.weight[:, : self.gmf.width]
        return self.gmf.user(user) * head, self.mlp.user_side(user)

    def item_side(self, item: Tensor) -> Side:
        """Compute the item's side in both branches."""
        return self.gmf.item(item), self.mlp.item_side(item)

    def pair(self, user: Side, item: Side) -> Tensor:
        """Add what both branches give to the output layer."""
        head = self.output.weight[:, self.gmf.width :]
        tower = functional.linear(self.mlp(user[1], item[1]), head, self.output.bias)
        return _dot(user[0], item[0]) + tower.squeeze(-1)

    def branches(self) -> list[Branch]:
        """List both branches, GMF first."""
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
    """Compute inner products ``(n, m)`` of ``(n, width)`` with ``(n, m, width)``."""
    return torch.matmul(item, user.unsqueeze(-1)).squeeze(-1)


def _output(width: int) -> nn.Linear:
    linear = nn.Linear(width, 1)
    nn.init.kaiming_uniform_(linear.weight, a=1, nonlinearity="sigmoid")
    nn.init.zeros_(linear.bias)
    return linear
