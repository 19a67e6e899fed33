"""Let the processes that ``torchrun`` starts for one training exchange values."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """The place of one process among those that train together.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Count of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and logs for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process has reached this point."""
        if self.size > 1:
            distributed.barrier()

    def share(self, values: Tensor) -> Tensor:
        """Copy the leader's values to every process (changed in place)."""
        if self.size > 1:
            distributed.broadcast(values, src=0)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Average over processes (changed in place)."""
        if self.size > 1:
            distributed.all_reduce(values)
            values /= self.size
        return values

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap a module so that its gradients are averaged over the processes."""
        return DistributedDataParallel(model) if self.size > 1 else model


ALONE = Ranks()


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, str]]:
    """Join the processes that ``torchrun`` started, if there are any.

    Parameters
    ----------
    device : str
        ``"cpu"`` (the processes talk by gloo) or ``"cuda"`` (nccl, one GPU each).

    Yields
    ------
    ranks : Ranks
        Place of this process.
    device : str
        Device of this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE, device
        return
    if device != "cpu":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("gloo" if device == "cpu" else "nccl")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        # A remaining reference keeps the group's threads, which abort a process that ends.
        gc.collect()
        distributed.destroy_process_group()
