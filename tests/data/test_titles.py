"""Titles: from a user's CSV, and from the item files that data sets bring."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.titles import Titles, grouplens_titles, read_titles, recbole_titles, titles_csv
from ncf.errors import RatingsError


def write(folder: Path, text: str) -> Path:
    path = folder / "titles.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(RatingsError) as caught:
        read_titles(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_titles_may_hold_commas_and_quotes(tmp_path: Path) -> None:
    text = 'item_id,title\n1,"Good, the Bad and the Ugly, The"\n007,"""Bond"""\nNA,\n'
    assert read_titles(write(tmp_path, text)) == {
        "1": "Good, the Bad and the Ugly, The",
        "007": '"Bond"',
        "NA": "",
    }


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\n\n"])
def test_line_endings_and_a_byte_order_mark_do_not_matter(tmp_path: Path, ending: str) -> None:
    text = ending.join(["\ufeffitem_id,title", "1,Amélie", "2,Up", ""])
    assert read_titles(write(tmp_path, text)) == {"1": "Amélie", "2": "Up"}


def test_a_quoted_header_is_the_header(tmp_path: Path) -> None:
    assert read_titles(write(tmp_path, '"item_id","title"\n1,Up\n')) == {"1": "Up"}


def test_a_header_alone_names_nothing(tmp_path: Path) -> None:
    assert read_titles(write(tmp_path, "item_id,title\n")) == {}


BAD_TITLES = {
    "nothing": ("", "", "empty"),
    "another header": ("id,name\n1,Up\n", ":1", "expected 'item_id,title'"),
    "no header": ("1,Up\n", ":1", "expected 'item_id,title'"),
    "slashes": ("item_id/title\n1/Up\n", ":1", "expected 'item_id,title'"),
    "a blank id": ("item_id,title\n1,Up\n\n ,Down\n", ":4", "item_id is blank"),
    "an unquoted comma": ("item_id,title\n1,Up\n2,Monsters, Inc.\n", ":3", "3 fields where 2"),
    "no title": ("item_id,title\n1,Up\n2\n", ":3", "1 fields where 2"),
    "an unclosed quote": ('item_id,title\n1,Up\n2,"Down\n3,Left\n', ":3", ""),
    "two titles of one item": ("item_id,title\n1,Up\n2,Down\n1,Left\n", ":4", "two titles"),
}


@pytest.mark.parametrize(("text", "place", "words"), BAD_TITLES.values(), ids=BAD_TITLES)
def test_a_bad_title_file_is_refused_by_name_and_line(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    path = write(tmp_path, text)
    message = refusal(path)
    assert message.startswith(f"{path}{place}: ")
    assert words in message


def test_a_title_file_in_latin_1_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "titles.csv"
    path.write_bytes("item_id,title\n1,Amélie\n".encode("latin-1"))
    message = refusal(path)
    assert message.startswith(f"{path}:2: ")
    assert "Latin-1" in message


def test_a_missing_title_file_is_named(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "none.csv") == f"{tmp_path / 'none.csv'}: no such file; check the path"
    )


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)


@settings(max_examples=100, deadline=None)
@given(titles=st.dictionaries(texts.filter(str.strip), texts, max_size=6))
def test_titles_written_as_csv_come_back_exactly(titles: Titles) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "titles.csv"
        path.write_bytes(titles_csv(titles))
        assert read_titles(path, keep_spaces=True) == titles


def test_grouplens_item_files_give_id_and_title() -> None:
    content = "1|Toy Story (1995)|01-Jan-1995||http://x|0|1\n2|Amélie (2001)|x\n"
    assert grouplens_titles(content.encode("latin-1"), "|") == {
        "1": "Toy Story (1995)",
        "2": "Amélie (2001)",
    }


def test_grouplens_movies_files_give_id_and_title() -> None:
    content = b"1::Toy Story (1995)::Animation|Comedy\n11::Alien: Redux, The (1979)::Horror\n"
    assert grouplens_titles(content, "::") == {
        "1": "Toy Story (1995)",
        "11": "Alien: Redux, The (1979)",
    }


def test_recbole_item_files_give_title_and_year_where_there_is_one() -> None:
    content = (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation\n267\tunknown\t\tunknown\n3\tAmélie\t2001\tComedy\n"
    )
    assert recbole_titles(content.encode()) == {
        "1": "Toy Story (1995)",
        "267": "unknown",
        "3": "Amélie (2001)",
    }
