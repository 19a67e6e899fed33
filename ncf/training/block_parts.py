"""Find what a block learns from: its training pairs, its items, and weights of unseen pairs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ncf.data.interactions import Interactions
from ncf.pairs import distinct, split_keys
from ncf.training.blocks import Pairs, Weights
from ncf.training.negative_items import negative_items

if TYPE_CHECKING:
    from ncf.training.schedule import Blocks


@dataclass(frozen=True)
class TrainingPairs:
    """All training pairs by user, on the device that trains.

    Parameters
    ----------
    starts : int64 tensor of shape (users + 1,)
        Where each user's items start.
    indices : int32 tensor of shape (pairs,)
        Items of each user, ascending.
    counts : float32 tensor of shape (users,)
        Count of each user's pairs.
    of_items : float32 tensor of shape (items,)
        Square root of each item's count of pairs plus the mean count: how strongly its row is held
        back, also of an item without a pair.
    """

    starts: Tensor
    indices: Tensor
    counts: Tensor
    of_items: Tensor

    @classmethod
    def on(cls, device: torch.device, train: Interactions) -> "TrainingPairs":
        """Put training pairs on a device."""
        users, items = split_keys(distinct(train.keys()), train.n_items)
        each = np.bincount(users, minlength=train.n_users)
        starts = torch.from_numpy(np.concatenate([[0], np.cumsum(each)]))
        of_items = np.bincount(items, minlength=train.n_items)
        held_back = np.sqrt(of_items + of_items.mean()).astype(np.float32)
        tensors = (torch.from_numpy(items.astype(np.int32)), starts.diff().float())
        on_device = (each.to(device) for each in (starts, *tensors, torch.from_numpy(held_back)))
        return cls(*on_device)

    def of(self, users: Tensor) -> Pairs:
        """Find the pairs of some users; each item is its index."""
        first, counts = self.starts[users], self.starts[users + 1] - self.starts[users]
        rows = torch.repeat_interleave(torch.arange(len(users), device=users.device), counts)
        before = torch.cumsum(counts, 0) - counts
        positions = torch.arange(len(rows), device=users.device) + (first - before)[rows]
        return Pairs(rows, self.indices[positions].long())


@dataclass(frozen=True)
class Columns:
    """The items of a block.

    Parameters
    ----------
    chosen : int64 tensor of shape (m,) or None
        Indices of the items, ascending; None for all.
    weights : float32 tensor of shape (m,)
        Factor of each item on the weight of its unseen pairs.
    """

    chosen: Tensor | None
    weights: Tensor


def columns_of(
    pairs: Pairs, weights: Tensor, part: int, random: np.random.Generator
) -> tuple[Pairs, Columns]:
    """Choose the items of a block: all, or a random part and those of its pairs.

    Parameters
    ----------
    pairs : Pairs
        Training pairs of the block; each item is its index.
    weights : float32 tensor of shape (items,)
        Factor of each item on the weight of its unseen pairs.
    part : int
        Count of random items; a catalogue of at most twice as many is taken whole.
    random : Generator
        Chooses the part.

    Returns
    -------
    pairs : Pairs
        The pairs; each item is its position among the columns.
    columns : Columns
        The items. Those in the random part weigh ``items / part`` times as much; those that are
        there only for a training pair have no unseen pairs.
    """
    count = len(weights)
    if count <= 2 * part:
        return pairs, Columns(None, weights)
    drawn = torch.from_numpy(random.choice(count, part, replace=False, shuffle=False))
    factors = torch.zeros_like(weights)
    drawn = drawn.to(weights.device)
    factors[drawn] = weights[drawn] * (count / part)
    taken = torch.zeros(count, dtype=torch.bool, device=weights.device)
    taken[drawn] = True
    taken[pairs.items] = True
    chosen = torch.nonzero(taken).squeeze(-1)
    places = torch.cumsum(taken, 0) - 1
    return Pairs(pairs.users, places[pairs.items]), Columns(chosen, factors[chosen])


def unseen_weights(blocks: "Blocks", train: Interactions, device: torch.device) -> Weights:
    """Compute the weights of unseen pairs: one for all users, times a factor by item.

    The one is ``unseen``, or more if all unseen pairs together would weigh less than ``negatives``
    times the training pairs. The factor is the item's count of pairs to the power of
    ``popularity``, scaled to a mean of 1 over :func:`negative_items`; that of any other item is 0.
    """
    items = negative_items(train)
    counts = np.maximum(np.bincount(train.items, minlength=train.n_items)[items], 1)
    factors = np.zeros(train.n_items)
    factors[items] = counts.astype(np.float64) ** blocks.popularity
    of_items = torch.from_numpy((factors / factors[items].mean()).astype(np.float32))
    trained = int(np.count_nonzero(np.bincount(train.users)))
    without = max(1, trained * train.n_items - len(train))
    weight = max(blocks.unseen, blocks.negatives * len(train) / without)
    of_users = torch.full((train.n_users,), weight, dtype=torch.float32)
    return Weights(of_users.to(device), of_items.to(device))
