"""Let the processes that ``torchrun`` starts for one training exchange values."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ncf.devices import usable_cores
from ncf.errors import UnreachableError
from ncf.training.launcher import launched


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

    def total(self, values: Tensor) -> Tensor:
        """Add up over processes (changed in place)."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Average over processes (changed in place)."""
        return self.total(values).div_(self.size) if self.size > 1 else values

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

    Raises
    ------
    UsageError
        The environment announces other processes, but not how to find them.
    UnreachableError
        The other processes do not answer.
    """
    launch = launched()
    # PyTorch counts the machine's cores, not those of a container's quota.
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    if launch.size == 1:
        yield ALONE, device
        return
    if device != "cpu":
        device = f"cuda:{launch.local_rank}"
        torch.cuda.set_device(device)
    _meet("gloo" if device == "cpu" else "nccl")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        # A remaining reference keeps the group's threads, which abort a process that ends.
        gc.collect()
        distributed.destroy_process_group()


def _meet(backend: str) -> None:
    try:
        distributed.init_process_group(backend)
    except distributed.DistError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UnreachableError(
            f"the other processes of WORLD_SIZE {os.environ['WORLD_SIZE']} cannot be met"
            f" ({str(error).splitlines()[0][:120]})",
            where=f"MASTER_ADDR {address}",
            remedy="start it with torchrun, or unset WORLD_SIZE to train in one process",
        ) from error
