"""``docs/architecture.md``: files that exist, every room, the layers that are linted."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def _layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layered = next(each for each in contracts["contracts"] if each["type"] == "layers")
    layers: list[str] = layered["layers"]
    return layers


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:ncf|export|batch|handlers)/[\w/.]+)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_room_is_on_the_map() -> None:
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("ncf/*/__init__.py")}
    rooms |= {"export", "batch", "handlers"}
    assert rooms == set(re.findall(r"(?m)^\| `([\w/]+)` \|", PAGE))


def test_the_layers_on_the_page_are_those_that_are_linted() -> None:
    (drawn,) = re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL)
    rooms = [set(line.split()) for line in drawn.splitlines() if line.strip()]
    linted = [
        {room.strip(" ()").replace(".", "/") for room in layer.split("|")} for layer in _layers()
    ]
    assert rooms == [layer for layer in linted if all((ROOT / room).is_dir() for room in layer)]


def test_no_word_is_in_the_glossary_twice() -> None:
    table = PAGE.split("## Words")[1]
    words = [
        word.strip()
        for row in re.findall(r"(?m)^\| (?!word|---)([^|]+) \|", table)
        for word in row.split(",")
    ]
    assert len(words) > 30
    assert len(words) == len(set(words))
