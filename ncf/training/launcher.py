"""What a launcher such as ``torchrun`` tells each of its processes by environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ncf.errors import UsageError

_NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_ALONE = "or unset {} to train in one process"


@dataclass(frozen=True)
class Launch:
    """One process among those that a launcher has started.

    Parameters
    ----------
    rank : int
        Of this process, from 0.
    size : int
        Count of processes.
    local_rank : int
        Of this process among those of this machine, from 0.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0


def launched(environment: Mapping[str, str] | None = None) -> Launch:
    """Read how this process was started; alone where ``WORLD_SIZE`` is not set, or 1.

    Schedulers of clusters set some of these variables for ends of their own: half of them is no
    launch.

    Raises
    ------
    UsageError
        ``WORLD_SIZE`` says that there are others, and what is needed to find them is not set, or a
        number is none; the message names the variable.
    """
    variables = os.environ if environment is None else environment
    if variables.get("WORLD_SIZE", "1").strip() in {"", "1"}:
        return Launch()
    size = _number(variables, "WORLD_SIZE")
    for name in _NEEDED:
        if not variables.get(name):
            raise UsageError(
                f"WORLD_SIZE is {size} and {name} is not set",
                where="environment",
                remedy=f"start it with torchrun, {_ALONE.format('WORLD_SIZE')}",
            )
    _number(variables, "MASTER_PORT")
    rank, local_rank = _number(variables, "RANK"), _number(variables, "LOCAL_RANK")
    if rank >= size:
        raise UsageError(
            f"RANK is {rank}, and WORLD_SIZE {size}",
            where="environment",
            remedy=f"start it with torchrun, {_ALONE.format('both')}",
        )
    return Launch(rank, size, local_rank)


def _number(variables: Mapping[str, str], name: str) -> int:
    given = variables[name].strip()
    if not given.isdecimal():
        raise UsageError(
            f"{name} is {given!r}, and no number",
            where="environment",
            remedy=f"start it with torchrun, {_ALONE.format('WORLD_SIZE')}",
        )
    return int(given)
