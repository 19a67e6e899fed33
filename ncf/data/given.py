"""Splits that somebody else made: parts in files of their own, or named in a column."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ncf.data.interactions import Interactions, latest_by_user
from ncf.data.parts import PARTS
from ncf.data.ratings import Ratings, Reading
from ncf.data.splits import Split, one_of_each_user
from ncf.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ncf.data.frames import Frame

_TRAIN, _VALIDATION, _TEST = range(3)


@dataclass(frozen=True)
class GivenParts:
    """Ratings of each part, as files or frames.

    Parameters
    ----------
    train, test : Path, DataFrame or pyarrow.Table
        Training and test part.
    validation : Path, DataFrame, pyarrow.Table or None
        Validation part; if not given, one is cut from training.
    """

    train: "Path | Frame"
    test: "Path | Frame"
    validation: "Path | Frame | None" = None

    def by_name(self) -> "dict[str, Path | Frame]":
        """List the parts that are there."""
        found = {name: getattr(self, name) for name in PARTS}
        return {name: part for name, part in found.items() if part is not None}


def join_parts(found: Mapping[str, Ratings]) -> Ratings:
    """Put the ratings of parts together, over common ids."""
    parts = list(found.values())
    times = [part.timestamps for part in parts if part.timestamps is not None]
    codes = [np.full(len(each.users), PARTS.index(name), np.int8) for name, each in found.items()]
    ignored = dict.fromkeys(name for part in parts for name in part.reading.ignored)
    trimmed = sum(part.reading.trimmed for part in parts)
    return Ratings(
        pa.chunked_array([part.users for part in parts]).unify_dictionaries().combine_chunks(),
        pa.chunked_array([part.items for part in parts]).unify_dictionaries().combine_chunks(),
        np.concatenate(times) if len(times) == len(parts) else None,
        sum(part.dropped for part in parts),
        Reading(parts[0].reading.format, tuple(ignored), trimmed),
        np.concatenate(codes),
    )


@dataclass(frozen=True)
class GivenSplit:
    """A split by given parts.

    Parameters
    ----------
    split : Split
        The parts.
    duplicates : int
        Rows of a pair that has a later row in the same part.
    repeated : int
        Pairs left out of a part because a later one of training, validation, test has them.
    """

    split: Split
    duplicates: int
    repeated: int


def split_given(ratings: Ratings, rng: np.random.Generator) -> GivenSplit:
    """Split rows by their parts; without a validation part, cut one from training.

    Parameters
    ----------
    ratings : Ratings
        Rows with their parts.
    rng : numpy.random.Generator
        Chooses the validation part where none is given.

    Raises
    ------
    UsageError
        No row is of the test part.
    """
    found = [_part(ratings, code) for code in range(len(PARTS))]
    train, validation, test = (interactions for interactions, _ in found)
    if not len(test):
        raise UsageError(
            "no row is of the test part", remedy='give some, or use `split="none"` for no test part'
        )
    tested = test.keys()
    kept = validation.take(~np.isin(validation.keys(), tested))
    left = train.take(~np.isin(train.keys(), np.concatenate([tested, kept.keys()])))
    repeated = len(validation) - len(kept) + len(train) - len(left)
    if len(validation):
        split = Split(left, kept, test)
    else:
        chosen = one_of_each_user(left, np.ones(len(left), np.bool_), rng)
        split = Split(left.take(~chosen), left.take(chosen), test)
    return GivenSplit(split, sum(duplicates for _, duplicates in found), repeated)


def _part(ratings: Ratings, code: int) -> tuple[Interactions, int]:
    if ratings.parts is None:  # not possible: the reader asks for them
        raise AssertionError
    rows = np.flatnonzero(ratings.parts == code)
    users, items = (
        pa.DictionaryArray.from_arrays(ids.indices.take(pa.array(rows)), ids.dictionary)
        for ids in (ratings.users, ratings.items)
    )
    times = None if ratings.timestamps is None else ratings.timestamps[rows]
    return latest_by_user(replace(ratings, users=users, items=items, timestamps=times, parts=None))
