"""Ratings in data frames, read as the same rows of a file would be."""

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ncf.data.frames import read_frame, read_titles_of
from ncf.data.options import Format
from ncf.data.ratings import Ratings
from ncf.data.raw_ids import raw_ids
from ncf.data.readers import read_ratings
from ncf.errors import NcfError, RatingsError, UsageError


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"user_id": ["u1", "u2"], "item_id": ["a", "b"], **columns})


def refusal(given: pd.DataFrame | pa.Table, min_rating: float | None = None) -> str:
    with pytest.raises(NcfError) as caught:
        read_frame(given, min_rating=min_rating)
    return str(caught.value)


def rows(ratings: Ratings) -> list[tuple[str, str]]:
    return list(zip(ratings.users.to_pylist(), ratings.items.to_pylist(), strict=True))


def test_a_frame_reads_as_the_same_rows_of_a_file(tmp_path: Path) -> None:
    text = "userId,movieId,rating,timestamp\n7,007,4,1000\n7,9,3.5,1001\n8,007,5,999\n"
    (tmp_path / "r.csv").write_text(text)
    of_file = read_ratings(tmp_path / "r.csv", Format.CSV, min_rating=4)
    given = pd.read_csv(tmp_path / "r.csv", dtype={"movieId": str})
    for each in (given, pa.Table.from_pandas(given)):
        found = read_frame(each, min_rating=4)
        assert (found.users, found.items) == (of_file.users, of_file.items)
        assert of_file.timestamps is not None
        assert found.timestamps is not None
        assert found.timestamps.tolist() == of_file.timestamps.tolist() == [1000_000, 999_000]
        assert found.dropped == of_file.dropped == 1


@pytest.mark.parametrize(
    ("user", "item"),
    [("userId", "movieId"), ("user", "item"), ("uid", "asin"), ("Customer ID", "ProductID")],
)
def test_usual_names_of_columns_are_known_in_frames_and_files(
    user: str, item: str, tmp_path: Path
) -> None:
    given = pd.DataFrame({user: ["u"], item: ["i"], "genres": ["x"]})
    assert rows(read_frame(given)) == [("u", "i")]
    given[[user, item]].to_csv(tmp_path / "r.csv", index=False)
    assert rows(read_ratings(tmp_path / "r.csv", Format.CSV)) == [("u", "i")]


@pytest.mark.parametrize(
    "ids",
    [
        [3, 12],
        np.array([3, 12], np.uint8),
        pd.array([3, 12], dtype="Int64"),
        pd.Categorical([3, 12]),
        pd.Categorical(["3", "12"], categories=["12", "3", "unused"]),
        pd.Series([3, "12"], dtype=object),
        ["3", "12"],
        pd.array(["3", "12"], dtype="string"),
    ],
)
def test_ids_are_strings_or_whole_numbers_and_categories_count_by_value(ids: object) -> None:
    assert rows(read_frame(frame(user_id=ids))) == [("3", "a"), ("12", "b")]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"user_id": [3.0, 4.0]}, "user_id holds whole numbers as floats"),
        ({"user_id": [3, None]}, "make them whole with astype('Int64')"),
        ({"user_id": [3.5, 4.0]}, "user_id holds floats; give ids as strings or whole numbers"),
        ({"user_id": pd.array([3, None], dtype="Int64")}, "row 1: user_id is missing"),
        ({"item_id": ["a", None]}, "row 1: item_id is missing"),
        ({"item_id": [None, None]}, "row 0: item_id is missing"),
        ({"item_id": pd.Categorical(["a", None])}, "row 1: item_id is missing"),
        ({"item_id": ["a", " "]}, "row 1: item_id is blank"),
        ({"item_id": pd.Series(["a", 2.5], dtype=object)}, "row 1: item_id is 2.5, a float"),
        ({"item_id": [True, False]}, "item_id is of type bool"),
        ({"item_id": [["a"], ["b"]]}, "item_id is of type list"),
        ({"rating": [5, np.inf]}, "row 1: rating is not finite"),
        ({"timestamp": [5, None]}, "row 1: timestamp is missing"),
        ({"timestamp": [5, -1]}, "row 1: timestamp is not a plausible Unix time"),
        ({"timestamp": [5, 10**12]}, "row 1: timestamps in seconds (row 0) and milliseconds"),
        ({"timestamp": pd.to_datetime(["2020-01-01", "1950-01-01"])}, "row 1: timestamp is before"),
        ({"asin": ["x", "y"], "sku": ["x", "y"]}, ""),
    ],
)
def test_what_cannot_be_read_is_named_by_its_row(columns: dict[str, object], told: str) -> None:
    if told:
        assert told in refusal(frame(**columns))
    else:  # the plain name wins over others
        assert rows(read_frame(frame(**columns))) == [("u1", "a"), ("u2", "b")]


def test_a_row_is_named_by_the_label_that_its_frame_gives_it() -> None:
    given = frame(item_id=["a", None]).set_index(pd.Index(["first", "second"]))
    assert refusal(given).startswith("row second: item_id is missing; give each row an id")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (pd.DataFrame({"user": ["u"]}), "no column 'item_id' among 'user'"),
        (pd.DataFrame({"user": ["u"], "sku": [1], "asin": [2]}), "'sku' and 'asin' all match"),
        (pd.DataFrame({"user": [], "item": []}), "the frame has no row"),
        (pa.table({"user": ["u"], "item": pa.array([None], pa.string())}), "row 0: item_id is"),
    ],
)
def test_a_frame_without_what_is_needed_is_refused(
    given: pd.DataFrame | pa.Table, told: str
) -> None:
    assert told in refusal(given)


def test_a_missing_rating_matters_only_where_ratings_are_used() -> None:
    given = frame(rating=[5, None])
    assert rows(read_frame(given)) == [("u1", "a"), ("u2", "b")]
    assert "row 1: rating is missing" in refusal(given, 3)


def test_a_minimum_rating_needs_ratings() -> None:
    with pytest.raises(UsageError, match="`min_rating` is given and the frame has no rating"):
        read_frame(frame(), min_rating=3)
    assert "none of the 2 rows reaches `min_rating`" in refusal(frame(rating=[1, 2]), 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda times: times,
        lambda times: times.dt.tz_localize("UTC"),
        lambda times: times.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        lambda times: times.dt.as_unit("s"),
        lambda times: times.astype(str) + "Z",
        lambda times: times.astype("int64") // 10**6,
        lambda times: (times.astype("int64") // 10**9).astype(float),
        lambda times: [each.to_pydatetime() for each in times],
    ],
)
def test_times_may_be_datetimes_texts_or_unix_times(
    make: Callable[[pd.Series], object],
) -> None:
    times = pd.Series(pd.to_datetime(["2020-01-01 10:00:00", "2020-01-02 11:00:00"]))
    found = read_frame(frame(timestamp=make(times.dt.as_unit("ns")))).timestamps
    expected = [datetime.datetime(2020, 1, n, 9 + n, tzinfo=datetime.UTC) for n in (1, 2)]
    assert found is not None
    assert found.tolist() == [int(each.timestamp() * 1000) for each in expected]


def test_titles_come_as_a_mapping_or_a_frame() -> None:
    movies = pd.DataFrame({"movieId": [1, 2, 3], "title": ["One", None, "Three"], "year": 1990})
    assert read_titles_of(movies) == {"1": "One", "3": "Three"}
    assert read_titles_of({1: "One", "x": "Two"}) == {"1": "One", "x": "Two"}
    with pytest.raises(RatingsError, match="row 1: item '1' has two titles"):
        read_titles_of(pd.DataFrame({"item": [1, 1], "title": ["One", "Two"]}))


@pytest.mark.parametrize(
    "given", ["196", 196, ["196"], (196,), np.array([196]), pd.Series(["196"]), pa.array([196])]
)
def test_ids_come_alone_or_in_any_sequence(given: object) -> None:
    assert raw_ids(given, "users") == ["196"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["a", 2.0], "entry 1: `users` is 2.0, a float"),
        ([1.0, 2.0], "`users` holds whole numbers as floats"),
        (["a", None], "entry 1: `users` is missing"),
        ({"a": 1}, "`users` is of type dict"),
        (None, "`users` is of type NoneType"),
        (b"a", "`users` is of type bytes"),
    ],
)
def test_what_is_no_id_is_refused(given: object, told: str) -> None:
    with pytest.raises(RatingsError) as caught:
        raw_ids(given, "users")
    assert told in str(caught.value)
