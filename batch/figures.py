"""Read the figures of a published run, as a call or a command gives them."""

import json
from typing import Any

from batch.runs import Runs
from ncf.artifacts import canonical_json
from ncf.records import json_values

_NOT_FIGURES = {
    *("digest", "files", "inputs", "parameters", "parts_version", "rows_by_part", "schema_version"),
    *("audit", "hosts", "ncf", "onnxruntime", "plan", "pyarrow", "width"),
}


def figures_of(runs: Runs, name: str) -> dict[str, Any]:
    """Read name, place and figures of a published run, in alphabetical order as in the file."""
    manifest = json.loads(canonical_json(json_values(runs.manifest(name))))
    figures = {key: value for key, value in manifest.items() if key not in _NOT_FIGURES}
    found: dict[str, Any] = {"run": name, "table": runs.address(name)}
    if (date := manifest["parameters"].get("date")) is not None:
        latest = runs.latest_or_none() == name
        found |= {"date": date, "outcome": "published" if latest else "backfilled"}
    return found | figures
