"""Report the progress of long tasks: a bar on a terminal or in a notebook, else log lines."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pythonjsonlogger.json import JsonFormatter
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ncf.notebook import NotebookBar, in_notebook

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


class _Rate(ProgressColumn):
    """The column that shows steps a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class Reporter:
    """Counts the steps of one task and shows them; several threads may count at once.

    Parameters
    ----------
    task : str
        Name of the task.
    total : int or None
        Number of steps, or None if it is unknown.
    bar : Progress, NotebookBar or None
        The bar of a terminal or a notebook; None writes log lines, at most one in ten seconds.
    """

    def __init__(self, task: str, total: int | None, bar: Progress | NotebookBar | None) -> None:
        self._task = task
        self._total = total
        self._done = 0
        self._bar = bar
        self._id = TaskID(0)
        self._lock = threading.Lock()
        self._started = self._spoke = time.monotonic()
        if isinstance(bar, Progress):
            self._id = bar.add_task(task, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Add ``steps`` to the count; ``note`` replaces the text beside the bar."""
        with self._lock:
            self._done += steps
            if isinstance(self._bar, NotebookBar):
                self._bar.show(self._done, note)
                return
            if self._bar is not None:
                self._bar.advance(self._id, steps)
                if note:
                    self._bar.update(self._id, note=note)
                return
            now = time.monotonic()
            if now - self._spoke >= _SECONDS_BETWEEN_LINES:
                self._spoke = now
                self._log(note, now)

    def _log(self, note: str, now: float) -> None:
        of_total = f"/{self._total:,}" if self._total else ""
        rate = self._done / (now - self._started)
        left = ""
        if self._total and 0 < self._done <= self._total:
            left = f", {(self._total - self._done) / rate:.0f} s left"
        done, speed = f"{self._done:,}", f"{rate:,.0f}/s"
        facts = {"task": self._task, "done": self._done, "total": self._total, "rate": rate}
        text = "%s: %s%s, %s%s %s"
        logger.info(text, self._task, done, of_total, speed, left, note, extra=facts)


@contextmanager
def report(task: str, total: int | None = None) -> Iterator[Reporter]:
    """Show the progress of one task until the block ends."""
    if in_notebook():
        with NotebookBar.of(task, total) as own:
            yield Reporter(task, total, own)
        return
    if not sys.stderr.isatty() or _logs_are_json():
        yield Reporter(task, total, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield Reporter(task, total, bar)


def _logs_are_json() -> bool:
    handlers = logging.getLogger().handlers
    return any(isinstance(handler.formatter, JsonFormatter) for handler in handlers)
