"""What commands print: figures on standard output, as lines or as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console


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
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
