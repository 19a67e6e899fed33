"""Draw training negatives on the device that trains, by the method of ncf.data.negatives."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncf.data.negatives import UnseenItems


class Negatives:
    """Draws items that users have not seen, on a device.

    Parameters
    ----------
    unseen : UnseenItems
        Unseen items of each user.
    device : torch.device
        Device that draws.
    items : int32 array of shape (unseen.n_items,), optional
        The catalogue's index of each item; the same index if not given.
    """

    def __init__(
        self,
        unseen: UnseenItems,
        device: torch.device,
        items: npt.NDArray[np.int32] | None = None,
    ) -> None:
        self._keys = torch.from_numpy(unseen.keys).to(device)
        self._starts = torch.from_numpy(unseen.starts).to(device)
        self._counts = torch.from_numpy(unseen.counts).to(device)
        self._stride = unseen.n_items + 1
        self._items = None if items is None else torch.from_numpy(items).to(device)

    def draw(self, users: Tensor, count: int, random: torch.Generator) -> Tensor:
        """Draw items for each user, uniformly and independently.

        Parameters
        ----------
        users : int tensor of shape (n,)
            Users who have an unseen item; ascending users are faster.
        count : int
            Number of items for each.
        random : torch.Generator
            Generator on the device.

        Returns
        -------
        int32 tensor of shape (n, count)
        """
        users = users.long().unsqueeze(-1)
        shape = (len(users), count)
        part = torch.rand(shape, generator=random, device=users.device, dtype=torch.float64)
        # A random number that was rounded up to 1.0 would be one step too far.
        ranks = torch.minimum((part * self._counts[users]).long(), self._counts[users] - 1)
        found = torch.searchsorted(self._keys, users * self._stride + ranks, right=True)
        drawn = ranks + found - self._starts[users]
        return drawn.int() if self._items is None else self._items[drawn]
