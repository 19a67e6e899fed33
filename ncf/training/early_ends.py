"""Tell in one line that a training ended before its end, and what it leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ncf.errors import ConfigError, InterruptedWorkError
from ncf.training.stage import DivergedError

GO_ON = "go on with `resume=True`"
"""Remedy after an interruption."""


@contextmanager
def in_one_line(out: Path, leave: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a loss that is no number into one line.

    Parameters
    ----------
    out : Path
        Checkpoint folder, for the message.
    leave : callable
        Saves what there is, and describes it for the message.

    Raises
    ------
    InterruptedWorkError, ConfigError
        It was interrupted, or diverged.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedWorkError(f"interrupted{leave()}", where=out, remedy=GO_ON) from None
    except DivergedError as error:
        problem = f"the loss became {error.args[0]}{leave()}"
        raise ConfigError(problem, where=out, remedy="lower learning_rate") from None
