"""Compute GMF's loss over all pairs of a block of users with all items, and its gradients.

The loss that negative sampling estimates has, for a user u with the training items S(u), the form

    sum over i in S(u) of softplus(-x_ui)  +  sum over i not in S(u) of w_ui * softplus(x_ui)

where x is the logit and w the weight of an unseen pair. For a block of users with rows P all
logits are one matrix product, ``X = P Q^T + b``. With ``G = w * sigmoid(X)`` at unseen pairs and
``sigmoid(X) - 1`` at training pairs, the gradients are ``G Q`` and ``G^T P``: the whole sum,
without sampling and without gathering rows.

Source: Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008,
who weight every unseen pair alike, with squares instead of the cross-entropy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_BYTES_AT_ONCE = 1 << 26  # of arrays of users x items
_ARRAYS = 4  # of that shape at once


class Gradients(NamedTuple):
    """The gradients of a block's loss, and the loss.

    Parameters
    ----------
    users : float32 tensor of shape (n, width)
        Gradient for the users' rows.
    items : float32 tensor of shape (m, width)
        Gradient for the items' rows.
    bias : float32 tensor of shape (1,)
        Gradient for the bias.
    loss : float or None
        Sum over all pairs, in nats; None if it was not asked for.
    """

    users: Tensor
    items: Tensor
    bias: Tensor
    loss: float | None


@dataclass(frozen=True)
class Pairs:
    """The training pairs of a block of users with some items.

    Parameters
    ----------
    users, items : int64 tensors of shape (pairs,)
        Positions among the users of the block, ascending, and among the items.
    """

    users: Tensor
    items: Tensor

    def of(self, start: int, stop: int) -> "Pairs":
        """Select the pairs of the users from ``start`` to ``stop``, who count from 0 again."""
        first, last = torch.searchsorted(self.users, self.users.new_tensor([start, stop])).tolist()
        return Pairs(self.users[first:last] - start, self.items[first:last])


@dataclass(frozen=True)
class Weights:
    """The weights of unseen pairs: the product of one factor a user and one an item.

    Parameters
    ----------
    users : float32 tensor of shape (n,)
        Factor of each user, above 0.
    items : float32 tensor of shape (m,)
        Factor of each item; 0 leaves its unseen pairs out.
    """

    users: Tensor
    items: Tensor


class Rows(NamedTuple):
    """The weights of GMF that a block uses; its output layer's weights are 1.

    Parameters
    ----------
    users : float32 tensor of shape (n, width)
        The users' rows.
    items : float32 tensor of shape (m, width)
        The rows of all items, or of some.
    bias : float32 tensor of shape (1,)
        Bias of all logits.
    """

    users: Tensor
    items: Tensor
    bias: Tensor


def gradients(rows: Rows, pairs: Pairs, unseen: Weights, *, with_loss: bool = False) -> Gradients:
    """Compute the gradients of a block's loss over all pairs, in bounded memory.

    Parameters
    ----------
    rows : Rows
        The users' and the items' rows.
    pairs : Pairs
        All training pairs of these users; their items are among the given ones.
    unseen : Weights
        Weights of the unseen pairs.
    with_loss : bool
        Whether to compute the loss too, which takes about as long again.

    Examples
    --------
    >>> ones, seen = torch.ones(2), Pairs(torch.tensor([0]), torch.tensor([1]))
    >>> rows = Rows(torch.zeros(1, 3), torch.ones(2, 3), torch.zeros(1))
    >>> found = gradients(rows, seen, Weights(ones[:1], ones), with_loss=True)
    >>> round(found.loss, 4), found.bias.item()  # two pairs at log 2; slopes of 1/2 and -1/2
    (1.3863, 0.0)
    """
    users, items, bias = rows
    of_users, of_items = torch.empty_like(users), torch.zeros_like(items)
    of_bias, loss = torch.zeros_like(bias), 0.0
    step = max(1, _BYTES_AT_ONCE // (4 * _ARRAYS * len(items)))
    for start in range(0, len(users), step):
        part = slice(start, min(start + step, len(users)))
        own, seen = users[part], pairs.of(part.start, part.stop)
        logits = torch.addmm(bias, own, items.T)
        weights = torch.outer(unseen.users[part], unseen.items)
        at_seen = logits[seen.users, seen.items]
        if with_loss:
            weights_at_seen = weights[seen.users, seen.items]
            of_seen = functional.softplus(-at_seen) - weights_at_seen * functional.softplus(at_seen)
            loss += float((functional.softplus(logits) * weights).sum() + of_seen.sum())
        slopes = logits.sigmoid_().mul_(weights)
        slopes[seen.users, seen.items] = at_seen.sigmoid() - 1
        torch.mm(slopes, items, out=of_users[part])
        of_items.addmm_(slopes.T, own)
        of_bias += slopes.sum()
    return Gradients(of_users, of_items, of_bias, loss if with_loss else None)
