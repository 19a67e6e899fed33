"""Text in blocks of whole lines: every byte once, every line with its number."""

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncf.data.blocks import Block, read_blocks
from ncf.errors import RatingsError

ENDINGS = ("\n", "\r\n", "\r")


def write(folder: Path, content: bytes, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def rows(path: Path, block_bytes: int = 1 << 20) -> list[tuple[int, bytes]]:
    return [row for block in read_blocks(path, block_bytes) for row in block.rows()]


def refusal(path: Path, block_bytes: int = 1 << 20) -> str:
    with pytest.raises(RatingsError) as caught:
        rows(path, block_bytes)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_line_ending_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending.join(["a", "b", "c", ""]).encode())
    assert rows(path) == [(1, b"a"), (2, b"b"), (3, b"c")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_blank_lines_count_as_lines_and_are_no_rows(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, ending.join(["", "a", "", "", "b"]).encode())
    assert rows(path) == [(2, b"a"), (5, b"b")]


def test_line_endings_may_differ_within_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\r\nb\rc\nd\r\r\n\ne")
    assert rows(path) == [(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d"), (7, b"e")]


def test_a_carriage_return_at_a_block_edge_is_half_of_its_line_ending(tmp_path: Path) -> None:
    path = write(tmp_path, b"abc\r\nde\r\nf\r\n")
    assert rows(path, block_bytes=4) == [(1, b"abc"), (2, b"de"), (3, b"f")]


def test_a_lone_carriage_return_at_a_block_edge_ends_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"abc\rde\rf\r")
    assert rows(path, block_bytes=4) == [(1, b"abc"), (2, b"de"), (3, b"f")]


def test_a_last_line_without_line_feed_is_a_whole_line(tmp_path: Path) -> None:
    data = [block.data for block in read_blocks(write(tmp_path, b"a\nb"))]
    assert b"".join(data) == b"a\nb\n"


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert rows(write(tmp_path, b"\xef\xbb\xbfa\nb\n")) == [(1, b"a"), (2, b"b")]


@pytest.mark.parametrize("content", [b"", b"\n\r\n\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_without_rows_yields_no_block(tmp_path: Path, content: bytes) -> None:
    assert list(read_blocks(write(tmp_path, content))) == []


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.tuples(texts, st.sampled_from(ENDINGS)), max_size=12),
    block_bytes=st.integers(24, 90),
)
def test_rows_and_numbers_do_not_depend_on_the_block_size(
    lines: list[tuple[str, str]], block_bytes: int
) -> None:
    content = (
        "".join(text + ending for text, ending in lines).encode().removeprefix(b"\xef\xbb\xbf")
    )
    unified = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    expected = [(number, line) for number, line in enumerate(unified.split(b"\n"), 1) if line]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), content)
        assert rows(path, block_bytes) == expected
        assert all(block.data.endswith(b"\n") for block in read_blocks(path, block_bytes))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.csv"
    assert refusal(path) == f"{path}: no such file; check the path"


def test_a_line_longer_than_two_blocks_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b"a" * 100)
    message = refusal(path, block_bytes=16)
    assert message.startswith(f"{path}: ")
    assert "longer than 32 bytes" in message


def test_a_bad_byte_in_a_later_block_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"abcdef\n" * 9 + b"caf\xe9\n" + b"abcdef\n")
    message = refusal(path, block_bytes=20)
    assert message.startswith(f"{path}:10: ")
    assert "UTF-8" in message


def test_a_nul_byte_in_a_later_block_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"abcdef\n" * 9 + b"ab\0c\n")
    assert refusal(path, block_bytes=20).startswith(f"{path}:10: NUL byte")


def test_a_character_cut_by_a_block_edge_is_still_one_character(tmp_path: Path) -> None:
    path = write(tmp_path, "aé\nbé\ncé\n".encode())
    for block_bytes in range(4, 9):
        assert [row for _, row in rows(path, block_bytes)] == [
            text.encode() for text in ("aé", "bé", "cé")
        ]


@pytest.mark.parametrize("members", [[b"a\nb\nc\n"], [b"a\n", b"b\nc\n"], [b"", b"a\nb", b"\nc"]])
def test_gzip_of_any_number_of_members_is_unpacked(tmp_path: Path, members: list[bytes]) -> None:
    content = b"".join(gzip.compress(member) for member in members)
    assert rows(write(tmp_path, content, "r.csv.gz")) == [(1, b"a"), (2, b"b"), (3, b"c")]


@pytest.mark.parametrize("kept", [1, 9, 15, -9, -8, -4, -1])
def test_a_gzip_file_cut_off_anywhere_is_refused(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, gzip.compress(bytes(range(32, 127)) + b"\n")[:kept], "r.csv.gz")
    message = refusal(path)
    assert message.startswith(f"{path}: cannot be read")
    assert "whole" in message


def test_a_gzip_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(b"user,item\n"))
    content[-6] ^= 1
    path = write(tmp_path, bytes(content), "r.csv.gz")
    assert refusal(path).startswith(f"{path}: cannot be read")


def test_a_block_knows_the_line_of_each_of_its_rows() -> None:
    block = Block(Path("r.csv"), b"\n\na\n\nb\n", first_line=10)
    assert block.rows() == [(12, b"a"), (14, b"b")]
    assert str(block.error(1, "odd", "mend it")) == "r.csv:14: odd; mend it"
    assert block.place(block.data.index(b"b")) == "r.csv:14"


def test_dropping_the_header_keeps_the_numbers_of_the_other_lines() -> None:
    block = Block(Path("r.csv"), b"\n\nhead\n\nb\n", first_line=1).without_first_row()
    assert block.rows() == [(5, b"b")]


@given(st.lists(st.sampled_from([b"", b"a", b"bc"])).filter(any), st.integers(1, 9))
def test_the_first_row_and_the_line_of_each_row_are_those_of_the_list(
    lines: list[bytes], first_line: int
) -> None:
    block = Block(Path("r.csv"), b"".join(line + b"\n" for line in lines), first_line)
    listed = block.rows()
    assert block.first_row() == listed[0]
    assert [block.line(row) for row in range(len(listed))] == [number for number, _ in listed]
