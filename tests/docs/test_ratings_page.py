"""``docs/ratings.md`` lists the names that columns are known by."""

import re

from ncf.columns import usual_column
from tests.docs.error_list import ROOT

PAGE = (ROOT / "docs" / "ratings.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)


def test_every_listed_name_is_known_and_every_known_name_is_listed() -> None:
    listed = {name: column for column, names in ROWS for name in re.findall(r"`([^`]+)`", names)}
    assert {name: usual_column(name) for name in listed} == listed
    source = (ROOT / "ncf" / "columns.py").read_text(encoding="utf-8")
    block = source[source.index("_USUAL") : source.index("_SEPARATORS")]
    assert set(re.findall(r'"(\w+)"', block)) == set(listed)
