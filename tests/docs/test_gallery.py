"""The gallery's pictures are those that the code of today draws."""

import json
import re
from xml.etree import ElementTree as ET

from rich.text import Text

from tests.docs.gallery import FOLDER, SESSIONS, digests, shape

MADE = json.loads((FOLDER / "made.json").read_text(encoding="utf-8"))


def test_no_picture_is_older_than_what_draws_it() -> None:
    assert digests() == MADE, "run make gallery, and look at the pictures"


def test_every_picture_is_on_the_page_and_every_picture_of_the_page_is_there() -> None:
    page = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\(gallery/([\w.]+)\)", page))
    assert shown == {
        path.name for path in FOLDER.iterdir() if path.suffix in {".svg", ".png", ".html"}
    }


def test_a_picture_shows_what_was_typed_and_fetches_nothing() -> None:
    for name in SESSIONS:
        drawn = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        texts = "".join("".join(ET.fromstring(drawn).itertext()).split())  # noqa: S314 - ours
        for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            assert "".join(line.split()) in texts
        assert re.findall(r"https?://(?!www\.w3\.org|www\.textualize\.io)", drawn) == []


def test_a_shape_forgets_numbers_and_titles_and_nothing_else() -> None:
    table = "┏━━┓\n┃ rank ┃\n┡━━┩\n│ 1 │ It's {} │\n└──┘\n{} known"
    assert shape(table.format("A", 3)) == shape(table.format("B", 12))
    assert shape(table.format("A", 3)) != shape(table.format("A", 3).replace("rank", "place"))
    assert shape(Text("HR  0.1 ± 0.02").plain) == "HR 0 ± 0"
