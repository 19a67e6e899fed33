"""What an engine sends to a node, and what comes back: plain data, so that any engine can.

The plan travels as its bytes; the node reads the audience from the place. An error of ours comes
back as data too: no engine tries it again, and the coordinator raises it as if it had come here.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from batch.plans import PLAN_FILE, Plan, read_plan
from batch.receipts import Receipt
from batch.sessions import work
from ncf import errors
from ncf.errors import NcfError, UsageError
from ncf.locks import this_host
from ncf.records import json_values, read_record

_RECEIPT, _ERROR, _FAULT = "receipt", "error", "fault"


@dataclass(frozen=True)
class Errand:
    """What a node must know to make any part of a plan.

    Parameters
    ----------
    plan : bytes
        The plan, as :meth:`batch.plans.Plan.content` writes it.
    out : str
        Folder of all runs, absolute, or a URI.
    threads : int
        Threads that score a shard.
    """

    plan: bytes
    out: str
    threads: int = 1


def shared_place(out: str | Path) -> str:
    """Name a place so that it means the same on every node.

    Raises
    ------
    UsageError
        It is in the memory of this process.
    """
    text = str(out)
    if text.startswith("memory:"):
        raise UsageError(
            f"{text} is in the memory of one process, and no node sees it",
            remedy="give a folder that all nodes share, or an object store",
        )
    return text if "://" in text else str(Path(text).absolute())


def run_errand(errand: Errand, shard: int) -> dict[str, Any]:
    """Make a part; this is what runs on a node.

    Parameters
    ----------
    errand : Errand
        The plan, and where it is.
    shard : int
        Number of the shard.

    Returns
    -------
    dict
        ``receipt``, as JSON values; or ``error``: the name of its class, and its message.
    """
    try:
        receipt = work(_plan(errand.plan), shard, errand.out, workers=errand.threads)
    except NcfError as error:
        return error_of(error, f" (on {this_host()})")
    except OSError as error:
        return error_of(error)
    return {_RECEIPT: json_values(receipt)}


def error_of(error: NcfError | OSError, where: str = "") -> dict[str, Any]:
    """Write an error as plain data, for :func:`receipt_of` to raise elsewhere.

    Parameters
    ----------
    error : NcfError or OSError
        The error.
    where : str
        Said after its message.
    """
    if isinstance(error, NcfError):
        return {_ERROR: [type(error).__name__, f"{error}{where}"]}
    if error.errno is None:  # of pyarrow, say
        return {_ERROR: [OSError.__name__, str(error)]}
    file = None if error.filename is None else str(error.filename)
    return {_ERROR: [OSError.__name__, error.errno, error.strerror or str(error), file]}


def receipt_of(answer: dict[str, Any]) -> Receipt:
    """Read what came back from a node.

    Raises
    ------
    NcfError
        The part could not be made; the class is that of the error on the node.
    OSError
        Likewise.
    RuntimeError
        A fault of ours on the node; the text has its traceback.
    """
    if _FAULT in answer:
        raise RuntimeError(answer[_FAULT])
    if _ERROR in answer:
        name, *said = answer[_ERROR]
        if name == OSError.__name__:
            raise OSError(*said)
        kind = getattr(errors, name, NcfError)
        error: NcfError = kind.__new__(kind)
        Exception.__init__(error, *said)  # it is a whole line already
        raise error
    return read_record(Receipt, answer[_RECEIPT])


@lru_cache(maxsize=2)
def _plan(content: bytes) -> Plan:
    return read_plan(content, PLAN_FILE)
