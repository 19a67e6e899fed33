"""Draw a progress bar in a notebook, as HTML without widgets."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

_SECONDS_BETWEEN_DRAWINGS = 0.2


def in_notebook() -> bool:
    """Whether this program runs in a notebook's kernel."""
    try:
        shell = get_ipython()  # type: ignore[name-defined]
    except NameError:  # IPython defines it where it runs
        return False
    return bool(shell.has_trait("kernel"))


class NotebookBar:
    """The bar of one task; it stays in the cell's output after the task.

    Parameters
    ----------
    task : str
        Name of the task.
    total : int or None
        Number of steps, or None if it is unknown.
    """

    def __init__(self, task: str, total: int | None) -> None:
        from IPython.display import display  # noqa: PLC0415 - a kernel has it

        self._task = task
        self._done, self._note = 0, ""
        self._total = total
        self._started = self._drawn = time.monotonic()
        look = self._look(0, "")
        self._handle = display(look, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    @classmethod
    @contextmanager
    def of(cls, task: str, total: int | None) -> Iterator["NotebookBar"]:
        """Show a bar until the block ends, and then its final state."""
        bar = cls(task, total)
        try:
            yield bar
        finally:
            bar.draw()

    def show(self, done: int, note: str) -> None:
        """Update the count; redraw the bar unless it was drawn a moment ago."""
        self._done, self._note = done, note or self._note
        if time.monotonic() - self._drawn >= _SECONDS_BETWEEN_DRAWINGS:
            self.draw()

    def draw(self) -> None:
        """Redraw the bar."""
        self._drawn = time.monotonic()
        self._handle.update(self._look(self._done, self._note), raw=True)

    def _look(self, done: int, note: str) -> dict[str, Any]:
        seconds = max(time.monotonic() - self._started, 1e-9)
        of_total = f"/{self._total:,}" if self._total else ""
        facts = f"{done:,}{of_total}, {done / seconds:,.0f}/s, {seconds:.0f} s"
        size = f'value="{done}" max="{self._total}"' if self._total else ""
        bar = f'<progress {size} style="width:16em"></progress>'
        texts = [escape(text) for text in (self._task, facts, note)]
        return {
            "text/plain": f"{self._task}: {facts} {note}".rstrip(),
            "text/html": f"{texts[0]} {bar} {texts[1]} {texts[2]}",
        }
