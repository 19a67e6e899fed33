"""Print figures on standard output, as lines or as JSON, and log lines on standard error."""

import csv
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ncf.api.figures import lines_of
from ncf.errors import UsageError

_NARROWEST = 12  # columns of a terminal that a column of a table takes at least


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print figures, one on each line, or as one JSON object."""
    if as_json:
        print_json(figures)
    elif figures:
        say("\n".join(lines_of(figures)))


def show_table(names: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table, every cell whole; what is missing is an empty cell.

    On a terminal long cells are folded. In a pipe, or where they would get too narrow to read, they
    stand in plain columns, one row a line.
    """
    cells = [[_cell(each) for each in row] for row in rows]
    console = Console()
    if not console.is_terminal or console.width < _NARROWEST * len(names):
        widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
        for row in [names, *cells]:
            say("  ".join(map(set_cell_size, row, widths)).rstrip())
        return
    table = Table(*(Column(name, overflow="fold") for name in names))
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def print_csv(names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows as CSV, ids and figures as they are; what is missing is an empty field."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def require_one_form(*, as_json: bool, as_csv: bool) -> None:
    """Refuse two forms of output at once.

    Raises
    ------
    UsageError
        Both are asked for.
    """
    if as_json and as_csv:
        raise UsageError("JSON and CSV exclude each other", remedy="give --json or --csv")


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    say(json.dumps(dict(document), ensure_ascii=False))


def say(text: str) -> None:
    """Print a line unchanged, without wrapping it to the width of the terminal."""
    Console(soft_wrap=True, markup=False, highlight=False, emoji=False).print(text)


def set_log_format(log_format: str) -> None:
    """Choose the format of log lines from now on, including the last line of an error."""
    if log_format == "json":
        from pythonjsonlogger.json import JsonFormatter

        names = "%(asctime)s %(levelname)s %(name)s %(message)s"
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter(names, rename_fields={"asctime": "time"}))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4f}"  # noqa: PLR0124 - true for NaN alone
    # Ids and titles come from files: none may move the cursor of a terminal, or begin a line.
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
