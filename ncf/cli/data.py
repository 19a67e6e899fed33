"""``ncf data``: fetch public data sets, prepare ratings files."""

from pathlib import Path
from typing import Annotated

import typer

from ncf.cli.flags import Command
from ncf.cli.output import AsJson, say, show
from ncf.data.options import Exclude, Format, Options, SplitKind
from ncf.errors import UsageError

app = typer.Typer(help="Fetch public data sets and prepare ratings files.")

Cache = Annotated[Path, typer.Option(help="Folder of fetched data sets.")]


@app.command("fetch", cls=Command)
def fetch(
    dataset: Annotated[str, typer.Argument(help="ml-100k, ml-1m or pinterest-20.")],
    cache: Cache = Path("data/raw"),
) -> None:
    """Fetch a public data set; every byte is checked against a pinned checksum.

    Example: ncf data fetch ml-100k
    """
    from ncf.data.datasets import fetch as fetch_dataset
    from ncf.data.datasets import open_dataset

    found = open_dataset(fetch_dataset(dataset, cache))
    say(f"{found.ratings}  (from {found.source})")


@app.command("prepare", cls=Command)
def prepare(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    dataset: Annotated[
        str | None, typer.Option(help="A public data set, fetched if need be.")
    ] = None,
    ratings: Annotated[
        Path | None, typer.Option(help="Ratings file; prefix of an NCF triple.")
    ] = None,
    format: Annotated[Format | None, typer.Option("--format", help="Of --ratings.")] = None,
    titles: Annotated[Path | None, typer.Option(help="CSV with item_id,title.")] = None,
    split: Annotated[
        SplitKind | None, typer.Option(help="leave-one-out unless given; a triple has its own.")
    ] = None,
    test_ratio: Annotated[float, typer.Option(help="Test share of a random split.")] = 0.2,
    min_rating: Annotated[float | None, typer.Option(help="Leave lower ratings out.")] = None,
    negatives: Annotated[int, typer.Option(help="Sampled for each test case.")] = 99,
    negatives_exclude: Annotated[
        Exclude, typer.Option(help="Known items never drawn: all, or of the training part only.")
    ] = Exclude.ALL,
    seed: Annotated[int, typer.Option(help="All choices follow from it.")] = 0,
    cache: Cache = Path("data/raw"),
    as_json: AsJson = False,
) -> None:
    """Split a ratings file and draw negatives; the same input gives the same bytes.

    Example: ncf data prepare --ratings ratings.csv --format csv --min-rating 4 --out data/mine
    """
    from ncf.data import datasets
    from ncf.data import prepare as preparing
    from ncf.data.titles import read_titles

    if (dataset is None) == (ratings is None):
        raise UsageError("give either --dataset or --ratings")
    if ratings is None:
        found = datasets.open_dataset(datasets.fetch(str(dataset), cache))
        ratings, chosen = found.ratings, found.file_format
        titles = titles or found.titles
    elif format is None:
        raise UsageError("--ratings needs --format", remedy=f"one of {', '.join(Format)}")
    else:
        chosen = format
    if chosen is Format.NCF and split is not None:
        raise UsageError("--split does not apply to an NCF triple", remedy="leave it out")
    options = Options(
        split=split or SplitKind.LEAVE_ONE_OUT,
        test_ratio=test_ratio,
        min_rating=min_rating,
        negatives=negatives,
        negatives_exclude=negatives_exclude,
        seed=seed,
    )
    named = read_titles(titles) if titles else None
    counts = preparing.prepare(ratings, chosen, out, options, named)
    show(counts, as_json=as_json)
    if counts["order"] == "file" and options.split is SplitKind.LEAVE_ONE_OUT and not as_json:
        say("no timestamps: the last interaction of a user is the last in the file")
