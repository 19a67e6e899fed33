"""Split at one moment for all users: nothing later than it is trained on.

Leave-one-out by time holds out each user's latest pair, so training sees pairs of others that are
later than a test pair. Here training ends at one moment, as it does in production.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncf.data.interactions import Interactions, latest_by_user
from ncf.data.options import Options
from ncf.data.ratings import Ratings
from ncf.data.splits import Split, latest_of_each_user
from ncf.errors import UsageError


@dataclass(frozen=True)
class TimeSplit:
    """A split at one moment.

    Parameters
    ----------
    split : Split
        The parts.
    test_from : int
        The moment, Unix milliseconds: the first of the test part.
    duplicates : int
        Rows of a pair that has a later row on the same side of the moment.
    repeated : int
        Test pairs left out because the user had the item before.
    """

    split: Split
    test_from: int
    duplicates: int
    repeated: int


def split_time(ratings: Ratings, options: Options, rng: np.random.Generator) -> TimeSplit:
    """Split rows at ``test_from``, or so that about the share ``test_ratio`` is later.

    The sides are made before duplicates are looked for, so that what happens later changes nothing
    in training: a pair that a user repeats after the moment stays in training, and is no test pair.
    The validation part is the latest training pair of up to 10,000 users who have two or more.

    Parameters
    ----------
    ratings : Ratings
        Rows with timestamps.
    options : Options
        The moment or the share.
    rng : numpy.random.Generator
        Chooses whose pairs are the validation part, if there are too many.

    Raises
    ------
    UsageError
        There are no timestamps, or one side would be empty.
    """
    times = ratings.timestamps
    if times is None:
        raise UsageError(
            '`split="time"` needs a column of timestamps',
            remedy="name it with `columns`, or split in another way",
        )
    moment = options.test_from
    cut = _cut(times, options.test_ratio) if moment is None else _milliseconds(moment)
    later = times >= cut
    if later.all() or not later.any():
        raise UsageError(
            f"no interaction is {'earlier' if later.all() else 'later'} than {iso(cut)}: the first "
            f"is of {iso(int(times.min()))}, the last of {iso(int(times.max()))}",
            remedy="give a `test_from` between these",
        )
    known, before = _side(ratings, ~later)
    test, after = _side(ratings, later)
    again = np.isin(test.keys(), known.keys())
    chosen = latest_of_each_user(known, rng)
    split = Split(known.take(~chosen), known.take(chosen), test.take(~again))
    return TimeSplit(split, cut, before + after, int(np.count_nonzero(again)))


def iso(milliseconds: int) -> str:
    """Write a Unix time in milliseconds as ISO 8601, in UTC.

    Examples
    --------
    >>> iso(888710400000)
    '1998-03-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def _cut(times: npt.NDArray[np.int64], share: float) -> int:
    """Find the moment from which on about this share is; equal times stay together."""
    at = times.size - max(1, round(times.size * share))
    return int(np.partition(times, at)[at])


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _side(ratings: Ratings, rows: npt.NDArray[np.bool_]) -> tuple[Interactions, int]:
    at = pa.array(np.flatnonzero(rows))
    users, items = (
        pa.DictionaryArray.from_arrays(ids.indices.take(at), ids.dictionary)
        for ids in (ratings.users, ratings.items)
    )
    times = None if ratings.timestamps is None else ratings.timestamps[rows]
    return latest_by_user(replace(ratings, users=users, items=items, timestamps=times))
