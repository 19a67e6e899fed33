"""JSON values become records, or one line says which field is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest

from ncf.artifacts import open_sealed, seal
from ncf.errors import ArtifactError, UsageError
from ncf.kinds import Kind, Manifest
from ncf.records import CLOSED, KEY, FieldError, json_values, optional, read_record


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Size:
    width: int
    height: float = 1.0

    def __post_init__(self) -> None:
        if self.width < 0:
            raise UsageError("width is negative")


@dataclass(frozen=True, kw_only=True)
class Thing:
    colour: Colour
    size: Size = field(metadata=CLOSED)
    mode: Literal["a", "b"]
    parts: tuple[Size, ...]
    counts: Mapping[str, int]
    note: str | None
    number: int = field(metadata={KEY: "try"})
    extra: Size | None = optional()


WHOLE: dict[str, object] = {
    "colour": "red",
    "size": {"width": 3},
    "mode": "a",
    "parts": [{"width": 1, "height": 2}],
    "counts": {"x": 1},
    "note": None,
    "try": 7,
}


def test_every_type_of_field_is_read_and_written_back() -> None:
    found = read_record(Thing, {**WHOLE, "unknown": 1})
    assert found.colour is Colour.RED
    assert (found.size, found.parts) == (Size(3), (Size(1, 2),))
    assert (found.number, found.note, found.extra) == (7, None, None)
    written = json_values(found)
    assert written == {**WHOLE, "size": {"width": 3, "height": 1.0}}
    assert read_record(Thing, written) == found


def test_a_field_that_may_be_none_may_be_missing() -> None:
    assert read_record(Thing, {k: v for k, v in WHOLE.items() if k != "note"}).note is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "green"}, "field 'colour' is 'green', not one of red, blue"),
        ({"colour": ["red"]}, "field 'colour' is"),
        ({"mode": "c"}, "field 'mode' is 'c', not one of a, b"),
        ({"size": 3}, "field 'size' is '3', not a table"),
        ({"size": {}}, "field 'size.width' is missing"),
        ({"size": {"width": True}}, "field 'size.width' is 'True', not an integer"),
        ({"size": {"width": 1.0}}, "field 'size.width' is '1.0', not an integer"),
        ({"size": {"width": 1, "height": "2"}}, "field 'size.height' is '2', not a number"),
        ({"size": {"width": 1, "depth": 2}}, "field 'size' has 'depth', which is unknown"),
        ({"size": {"width": -1}}, "field 'size': width is negative"),
        ({"parts": {}}, "field 'parts' is '{}', not a list"),
        ({"parts": [{"width": 1}, {}]}, "field 'parts[1].width' is missing"),
        ({"counts": {"x": "1"}}, "field 'counts.x' is '1', not an integer"),
        ({"counts": []}, "field 'counts' is '[]', not a table"),
        ({"note": 3}, "field 'note' is '3', not a text"),
        ({"try": None}, "field 'try' is 'None', not an integer"),
        ({"extra": {"width": "1"}}, "field 'extra.width' is '1', not an integer"),
    ],
)
def test_the_field_that_is_wrong_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(FieldError) as caught:
        read_record(Thing, {**WHOLE, **changes})
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [None, 3, "x", [], [1]])
def test_what_is_no_table_is_no_record(value: object) -> None:
    with pytest.raises(FieldError, match="not a table"):
        read_record(Thing, value)


def test_a_sealed_folder_whose_manifest_lacks_a_field_is_damaged(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Shape(Manifest):
        sides: int

    kind = Kind("shape", "shape.json", 1, "draw it", Shape)
    seal(tmp_path, kind, {"corners": 3})
    with pytest.raises(ArtifactError) as caught:
        open_sealed(tmp_path, kind)
    assert str(caught.value) == (
        f"{tmp_path / 'shape.json'}: field 'sides' is missing; the shape is damaged: draw it"
    )
