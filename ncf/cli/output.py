"""Print figures on standard output, as lines or as JSON, and log lines on standard error."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncf.api.figures import lines_of


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print figures, one on each line, or as one JSON object."""
    if as_json:
        print_json(figures)
    elif figures:
        say("\n".join(lines_of(figures)))


def show_table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; a missing value is an empty cell."""
    table = Table(*names)
    for row in rows:
        table.add_row(*(each if isinstance(each, Text) else Text(_cell(each)) for each in row))
    Console().print(table)


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
    return "" if value is None else str(value)
