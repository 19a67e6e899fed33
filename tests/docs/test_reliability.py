"""``docs/reliability.md``: every row has a test, and every test that it names exists."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.error_list import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [
    line for line in PAGE.splitlines() if re.match(r"\| (?!---|input \||fault \||what \|)", line)
]
_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def _defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_bytes())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


TESTS = {path.name: _defined(path) for path in (ROOT / "tests").rglob("test_*.py")}


def test_all_tables_are_here() -> None:
    assert len(ROWS) >= 70
    headings = [line for line in PAGE.splitlines() if line.startswith("## ")]
    assert headings[:-1] == [
        "## Bad inputs",
        "## Faults",
        "## Volumes and file systems",
        "## Nothing silent, nothing cut",
        "## Files as people have them",
        "## Environment and telemetry",
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_a_row_names_tests_that_exist(row: str) -> None:
    cells = re.split(r"(?<!\\)\|", row)[1:-1]
    assert len(cells) == 3
    named = _TEST.findall(cells[2])
    assert named
    assert _TEST.sub("", cells[2]).replace(",", "").strip() == ""
    for module, name in named:
        assert name in TESTS[module], f"{module}::{name}"


def test_a_row_without_a_test_or_with_a_wrong_one_would_be_found() -> None:
    for row in ("| x | y | |", "| x | y | `test_faults.py::test_nothing_of_the_kind` |"):
        with pytest.raises(AssertionError):
            test_a_row_names_tests_that_exist(row)
