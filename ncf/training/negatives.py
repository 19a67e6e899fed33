"""Training negatives, drawn on the device that trains; the method is ncf.data.negatives'."""

import torch
from torch import Tensor

from ncf.data.negatives import UnseenItems


class Negatives:
    """Draws items that users have not seen.

    Parameters
    ----------
    unseen : UnseenItems
        What each user has not seen.
    device : torch.device
        Where to draw.
    """

    def __init__(self, unseen: UnseenItems, device: torch.device) -> None:
        self._keys = torch.from_numpy(unseen.keys).to(device)
        self._starts = torch.from_numpy(unseen.starts).to(device)
        self._counts = torch.from_numpy(unseen.counts).to(device)
        self._stride = unseen.n_items + 1

    def draw(self, users: Tensor, count: int, random: torch.Generator) -> Tensor:
        """Draw items for each user, uniform and independent.

        Parameters
        ----------
        users : int tensor of shape (n,)
            Users with an unseen item; quick where they ascend.
        count : int
            Items for each.
        random : torch.Generator
            On the device.

        Returns
        -------
        int32 tensor of shape (n, count)
        """
        users = users.long().unsqueeze(-1)
        shape = (len(users), count)
        part = torch.rand(shape, generator=random, device=users.device, dtype=torch.float64)
        # Rounding up to 1.0 would take a step too far.
        ranks = torch.minimum((part * self._counts[users]).long(), self._counts[users] - 1)
        found = torch.searchsorted(self._keys, users * self._stride + ranks, right=True)
        return (ranks + found - self._starts[users]).int()
