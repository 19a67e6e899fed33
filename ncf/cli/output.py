"""What commands print: figures on standard output, as lines or as JSON, and log lines."""

import json
import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]
Length = Annotated[int, typer.Option("-k", help="Items a user at most.")]
LogFormat = Annotated[
    Literal["text", "json"],
    typer.Option(help="Log lines on standard error: text, or JSON objects."),
]


def show(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print figures, one a line, or as one JSON object."""
    if as_json:
        print_json(figures)
        return
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        say(f"{name.replace('_', ' '):{width}}  {_readable(value)}")


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    say(json.dumps(document, ensure_ascii=False))


def say(text: str) -> None:
    """Print a line as it is, whatever the width of the terminal."""
    Console(soft_wrap=True, markup=False, highlight=False, emoji=False).print(text)


def _readable(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(each)}" for name, each in value.items())
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def set_log_format(log_format: str) -> None:
    """Choose how log lines look from now on, the last line of an error too."""
    if log_format == "json":
        from pythonjsonlogger.json import JsonFormatter

        names = "%(asctime)s %(levelname)s %(name)s %(message)s"
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter(names, rename_fields={"asctime": "time"}))
