"""The quickstart notebook runs from its first cell to its last."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


def outputs(notebook: Any, kind: str) -> list[str]:  # noqa: ANN401 - nbformat has no types
    """Every output of a kind, in order."""
    data = [each.get("data", {}) for cell in notebook.cells for each in cell.get("outputs", [])]
    return [each[kind] for each in data if kind in each]


def test_the_notebook_is_short_and_holds_no_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert 8 <= len(code) <= 12
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown, drawn = outputs(notebook, "text/plain"), outputs(notebook, "image/png")
    assert len(drawn) == 1, "the plot of the training"
    tables = outputs(notebook, "text/html")
    (lists,) = (table for table in tables if "policy" in table and "title" in table)
    assert lists.count("<tr") == 11, "five rows a user"
    assert lists.count("<td>model</td>") == 10
    assert any(text.startswith("Data('data/quickstart'") for text in shown)
    assert any(text.startswith("Model('checkpoints/quickstart': neumf-end") for text in shown)
    bars = [table for table in tables if "<progress" in table]
    assert any("train neumf-end" in bar for bar in bars), "a bar in the notebook"
    assert not [
        each for cell in notebook.cells for each in cell.get("outputs", []) if "ename" in each
    ]
    assert (tmp_path / "topk" / "LATEST").exists()
