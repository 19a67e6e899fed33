"""``ncf data fetch`` downloads a public data set."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import Cache
from ncf.cli.output import say


def fetch(
    dataset: Annotated[str, typer.Argument(help="ml-100k, ml-1m or pinterest-20.")],
    cache: Cache = Path("data/raw"),
) -> None:
    """Fetch a public data set, and check it against pinned checksums.

    Example: ncf data fetch ml-100k
    """
    found = ncf.fetch(dataset, cache=cache)
    say(f"{found.ratings}  (from {found.source})")
