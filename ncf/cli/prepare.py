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
Dataset = Annotated[str | None, typer.Option(help="A public data set, fetched if it is not here.")]
RatingsFile = Annotated[
    Path | None, typer.Option("--ratings", help="Ratings file, or prefix of an NCF triple.")
]
FileFormat = Annotated[
    Format,
    typer.Option("--format", help="Of the files; auto finds it out from the first line."),
]
Train = Annotated[Path | None, typer.Option(help="Training part of a given split.")]
Test = Annotated[Path | None, typer.Option(help="Its test part.")]
ValidationPart = Annotated[
    Path | None,
    typer.Option("--validation", help="Its validation part; else cut from training."),
]
Split = Annotated[
    SplitKind | None,
    typer.Option(
        help="By default leave-one-out. time splits at one moment for all users. A triple has its "
        "own; given reads a column 'part' (train, validation, test); none makes no test part."
    ),
]
TestRatio = Annotated[float, typer.Option(help="Test share of a random split, or of a time split.")]
TestFrom = Annotated[
    str | None,
    typer.Option(help="First moment of a time split's test part: 1998-03-01, or Unix seconds."),
]
NeverDrawn = Annotated[
    Exclude, typer.Option(help="Items never drawn: all of the user's, or those in training.")
]


def prepare(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    dataset: Dataset = None,
    ratings: RatingsFile = None,
    format: FileFormat = Format.AUTO,
    train: Train = None,
    test: Test = None,
    validation: ValidationPart = None,
    columns: Columns = None,
    keep_spaces: KeepSpaces = False,
    titles: Titles = None,
    split: Split = None,
    test_ratio: TestRatio = 0.2,
    test_from: TestFrom = None,
    min_rating: Annotated[float | None, typer.Option(help="Leave out lower ratings.")] = None,
    negatives: Annotated[int, typer.Option(help="Number sampled for each test case.")] = 99,
    negatives_exclude: NeverDrawn = Exclude.ALL,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    cache: Cache = Path("data/raw"),
    as_json: AsJson = False,
) -> None:
    """Split a ratings file and draw negatives; the same input gives the same bytes.

    Example: ncf data prepare --ratings ratings.csv --min-rating 4 --out data/mine

    By time: ncf data prepare --ratings r.csv --split time --test-from 2024-06-01 --out data/mine

    A split that somebody else made: ncf data prepare --train a.csv --test b.csv --out data/theirs
    """
    _require_one(dataset, ratings, train or test or validation)
    found = ncf.prepare(
        ratings if dataset is None else ncf.fetch(dataset, cache=cache),
        out=out,
        **{"train": train, "test": test, "validation": validation},
        format=format,
        columns=columns,
        keep_spaces=keep_spaces,
        titles=titles,
        split=split,
        test_ratio=test_ratio,
        test_from=test_from,
        min_rating=min_rating,
        negatives=negatives,
        negatives_exclude=negatives_exclude,
        seed=seed,
    ).figures
    show(found, as_json=as_json)
    if not as_json and found["order"] == "file" and split in {None, SplitKind.LEAVE_ONE_OUT}:
        say("no timestamps: the last interaction of a user is the last in the file")


def _require_one(*sources: object) -> None:
    if sum(each is not None for each in sources) != 1:
        raise UsageError("give either `dataset` or `ratings`, or `train` with `test`")
