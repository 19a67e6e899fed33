import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from export import bundle_schema
from export.bundle_schema import schema_text
from ncf.scoring.bundle import Bundle

WRITTEN = Path(__file__).parents[2] / bundle_schema.TARGET


def test_the_schema_in_the_documents_is_made_from_the_type() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == schema_text()


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    bundle_schema.main()
    assert (tmp_path / "docs" / WRITTEN.name).read_text(encoding="utf-8") == schema_text()


def _properties(schema: object) -> Iterator[tuple[str, dict[str, object]]]:
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties.items() if isinstance(properties, dict) else ()
        for each in schema.values():
            yield from _properties(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _properties(each)


def test_every_field_but_the_version_is_described() -> None:
    bare = [name for name, each in _properties(json.loads(schema_text())) if len(each) < 2]
    assert bare == ["schema_version"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("model", "n_users"), 0),
        (("model", "kind"), "svd"),
        (("model", "layers"), 6),
        (("cold_user",), "skip"),
        (("parity", "topk.onnx", "tolerance"), 0),
        (("provenance", "data"), "abc"),
        (("provenance", "created"), 5),
        (("screen",), {"reason": 5}),
        (("metrics", "validation"), {"recall": 0.5}),
    ],
)
def test_the_schema_refuses_values_out_of_range(
    place: tuple[str, ...], value: object, bundle_json: dict[str, object]
) -> None:
    schema = json.loads(schema_text())
    jsonschema.validate(bundle_json, schema)
    table = bundle_json
    for name in place[:-1]:
        table = table[name]  # type: ignore[assignment]  # a table of JSON
    table[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bundle_json, schema)


@pytest.fixture
def bundle_json(bundle: Bundle) -> dict[str, object]:
    found: dict[str, object] = json.loads((bundle.path / "bundle.json").read_bytes())
    return found
