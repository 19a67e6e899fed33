"""Make the JSON Schema of ``bundle.json`` from its type: ``python -m export.bundle_schema``.

Descriptions come from the docstrings, and limits of values from the annotations of the types.
"""

import inspect
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ncf.kinds import Manifest
from ncf.records import Record, is_required, json_key
from ncf.scoring.bundle import REQUIRED, SCORE_GRAPH, TOPK_GRAPHS
from ncf.scoring.manifest import BUNDLE, BundleManifest

TARGET = Path("docs", "bundle.schema.json")

_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NOTE = (
    "SHA-256 of this document without this key: keys sorted, two-space indent, UTF-8, one line "
    "feed at the end"
)


def bundle_schema() -> dict[str, object]:
    """Describe ``bundle.json`` as JSON Schema, draft 2020-12."""
    content = _record(BundleManifest, leave_out={each.name for each in fields(Manifest)})
    properties: dict[str, dict[str, object]] = content["properties"]
    properties["parity"]["required"] = [SCORE_GRAPH, *TOPK_GRAPHS.values()]
    sealed: dict[str, object] = {
        "schema_version": {"const": BUNDLE.schema_version},
        "digest": {**_DIGEST, "description": _NOTE},
        "files": {
            "type": "object",
            "description": "SHA-256 of every other file, by its path in the folder",
            "additionalProperties": _DIGEST,
            "required": sorted(REQUIRED),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"bundle.json of an exported model, schema version {BUNDLE.schema_version}",
        **content,
        "required": [*sealed, *content["required"]],
        "properties": {**sealed, **properties},
    }


def schema_text() -> str:
    """Write the schema as text, as in the file in ``docs``."""
    return f"{json.dumps(bundle_schema(), indent=2, ensure_ascii=False)}\n"


def main() -> None:
    """Write the schema to its file below the current folder."""
    TARGET.write_text(schema_text(), encoding="utf-8")


def _record(cls: type[Record], leave_out: Collection[str] = ()) -> dict[str, Any]:
    types, descriptions = get_type_hints(cls, include_extras=True), dict(_descriptions(cls))
    own = [each for each in fields(cls) if each.name not in leave_out]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [json_key(each) for each in own if is_required(each)],
        "properties": {
            json_key(each): {**_schema(types[each.name]), "description": descriptions[each.name]}
            for each in own
        },
    }


def _schema(wanted: Any) -> dict[str, object]:  # noqa: ANN401, PLR0911 - a type expression, of any kind
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        found = _schema(arguments[0])
        for each in arguments[1:]:
            found |= each
        return found
    if origin in {Union, UnionType}:
        return _one_of([_schema(each) for each in arguments])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if isinstance(wanted, type) and is_dataclass(wanted):
        return _record(wanted)
    if issubclass(wanted, Enum):
        return {"enum": [each.value for each in wanted]}
    return {"type": _PLAIN[wanted]}


def _one_of(schemas: list[dict[str, object]]) -> dict[str, object]:
    """Join plain types into one list of types; keep others apart."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"oneOf": schemas}


def _descriptions(cls: type) -> Iterator[tuple[str, str]]:
    """Yield the fields that a numpydoc docstring describes, with their descriptions."""
    section = (inspect.getdoc(cls) or "").partition("Parameters\n----------\n")[2]
    for names, text in re.findall(r"^(\w[\w, ]*) :.*\n((?:    .*\n?)+)", section, re.MULTILINE):
        described = " ".join(text.split()).rstrip(".")
        yield from ((name, described) for name in names.split(", "))


if __name__ == "__main__":
    main()
