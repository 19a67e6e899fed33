"""``ncf data prepare`` splits ratings and samples negatives."""

from pathlib import Path
from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsJson, Cache
from ncf.cli.output import say, show
from ncf.data.options import Exclude, Format, SplitKind
from ncf.errors import UsageError

Columns = Annotated[
    str | None,
    typer.Option(help="Columns of --ratings: user=NAME,item=NAME,rating=NAME,timestamp=NAME."),
]
KeepSpaces = Annotated[
    bool, typer.Option("--keep-spaces", help="Leave spaces around ids, in text.")
]
Titles = Annotated[
    Path | None, typer.Option(help="CSV or Parquet with item_id,title, maybe among others.")
]
NeverDrawn = Annotated[
    Exclude, typer.Option(help="Items never drawn: all of the user's, or those in training.")
]


def prepare(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    dataset: Annotated[
        str | None, typer.Option(help="A public data set, fetched if it is not here.")
    ] = None,
    ratings: Annotated[
        Path | None, typer.Option(help="Ratings file, or prefix of an NCF triple.")
    ] = None,
    format: Annotated[
        Format, typer.Option(help="Of --ratings; auto finds it out from the first line.")
    ] = Format.AUTO,
    columns: Columns = None,
    keep_spaces: KeepSpaces = False,
    titles: Titles = None,
    split: Annotated[
        SplitKind | None, typer.Option(help="By default leave-one-out; a triple has its own.")
    ] = None,
    test_ratio: Annotated[float, typer.Option(help="Test share of a random split.")] = 0.2,
    min_rating: Annotated[float | None, typer.Option(help="Leave out lower ratings.")] = None,
    negatives: Annotated[int, typer.Option(help="Number sampled for each test case.")] = 99,
    negatives_exclude: NeverDrawn = Exclude.ALL,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    cache: Cache = Path("data/raw"),
    as_json: AsJson = False,
) -> None:
    """Split a ratings file and draw negatives; the same input gives the same bytes.

    Example: ncf data prepare --ratings ratings.csv --min-rating 4 --out data/mine
    """
    if (dataset is None) == (ratings is None):
        raise UsageError("give either `dataset` or `ratings`")
    found = ncf.prepare(
        ncf.fetch(str(dataset), cache=cache) if ratings is None else ratings,
        out=out,
        format=format,
        columns=columns,
        keep_spaces=keep_spaces,
        titles=titles,
        split=split,
        test_ratio=test_ratio,
        min_rating=min_rating,
        negatives=negatives,
        negatives_exclude=negatives_exclude,
        seed=seed,
    ).figures
    show(found, as_json=as_json)
    if found["order"] == "file" and split in {None, SplitKind.LEAVE_ONE_OUT} and not as_json:
        say("no timestamps: the last interaction of a user is the last in the file")
