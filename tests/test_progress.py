"""Progress is a bar on a terminal, and a few plain lines everywhere else."""

import io
import logging
import sys

import pytest

from ncf.notebook import in_notebook
from ncf.progress import report


class Clock:
    """Stands in for ``time.monotonic``."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("ncf.progress.time.monotonic", clock)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return clock


def test_off_a_terminal_a_line_counts_what_is_done_and_what_is_left(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with report("score users", 4000) as progress:
        clock.seconds += 20
        progress.advance(1000, note="part 1")
    (line,) = caplog.messages
    assert line == "score users: 1,000/4,000, 50/s, 60 s left part 1"


def test_off_a_terminal_there_is_at_most_one_line_in_ten_seconds(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with report("read ratings", 100) as progress:
        for _ in range(100):
            clock.seconds += 0.5
            progress.advance()
    counts = [line.split(",")[0] for line in caplog.messages]
    assert counts == [f"read ratings: {count}/100" for count in (20, 40, 60, 80, 100)]


@pytest.mark.usefixtures("clock")
def test_off_a_terminal_a_quick_task_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with report("read ratings", 3) as progress:
        progress.advance(3, note="done")
    assert not caplog.messages


@pytest.mark.parametrize("total", [None, 0])
def test_off_a_terminal_a_task_without_a_total_just_counts(
    clock: Clock, caplog: pytest.LogCaptureFixture, total: int | None
) -> None:
    caplog.set_level(logging.INFO)
    with report("read ratings", total) as progress:
        clock.seconds += 10
        progress.advance(1234)
        clock.seconds += 10
        progress.advance(0)
    found = [line.strip() for line in caplog.messages]
    assert found == ["read ratings: 1,234, 123/s", "read ratings: 1,234, 62/s"]


def test_more_steps_than_promised_leave_no_time_below_zero(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that compresses a file sends more bytes than it announced."""
    caplog.set_level(logging.INFO)
    with report("fetch", 10) as progress:
        clock.seconds += 10
        progress.advance(20)
    assert "-" not in caplog.messages[0]


def test_off_a_terminal_nothing_but_log_lines_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr("ncf.progress.time.monotonic", clock)
    with report("read ratings", 2) as progress:
        clock.seconds += 60
        progress.advance(2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [None, 0, 3])
def test_on_a_terminal_the_bar_shows_the_task_and_its_note(
    total: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with report("train", total) as progress:
        progress.advance()
        progress.advance(2, note="loss 0.25")
    shown = terminal.getvalue()
    assert "train" in shown
    assert "loss 0.25" in shown
    assert f"3/{total or ('?' if total is None else 0)}" in shown
    assert not caplog.messages


@pytest.mark.parametrize("text", ["[bold", "[/]", "fetch http://[::1]:80/a", "100 %s", "[red]x"])
def test_on_a_terminal_brackets_in_a_name_are_text(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File names and addresses may hold what looks like markup."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with report(text, 1) as progress:
        progress.advance(note=text)
    assert terminal.getvalue().count(text) >= 2


def test_on_a_terminal_one_task_may_report_inside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with report("outer", 2) as outer, report("inner", 2) as inner:
        inner.advance(2)
        outer.advance(2)


def test_an_exception_inside_ends_the_bar_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(ZeroDivisionError), report("train", 2):
        _ = 1 / 0
    shows_cursor, hides_cursor = "\x1b[?25h", "\x1b[?25l"
    assert terminal.getvalue().count(shows_cursor) == terminal.getvalue().count(hides_cursor)


class Shown:
    """Stands in for what a notebook displays."""

    def __init__(self) -> None:
        self.looks: list[dict[str, str]] = []

    def display(self, look: dict[str, str], **_: object) -> "Shown":
        self.looks.append(look)
        return self

    def update(self, look: dict[str, str], **_: object) -> None:
        self.looks.append(look)


def test_in_a_notebook_the_notebook_draws_the_bar(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shown, clock = Shown(), Clock()
    monkeypatch.setattr("ncf.progress.in_notebook", lambda: True)
    monkeypatch.setattr("ncf.notebook.time.monotonic", clock)
    monkeypatch.setattr("IPython.display.display", shown.display)
    with report("train <b>", 400) as progress:
        for _ in range(10):
            clock.seconds += 0.1
            progress.advance(10, note="loss 0.25")
    assert len(shown.looks) < 8, "drawn some times a second"
    assert shown.looks[-1]["text/plain"] == "train <b>: 100/400, 100/s, 1 s loss 0.25"
    assert '<progress value="100" max="400"' in shown.looks[-1]["text/html"]
    assert "train &lt;b&gt;" in shown.looks[-1]["text/html"]
    assert not caplog.messages


def test_a_terminal_is_no_notebook() -> None:
    assert not in_notebook()
