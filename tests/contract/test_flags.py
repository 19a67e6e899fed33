"""Errors name parameters, and the command line turns them into its options."""

import re
from pathlib import Path

import pytest

from ncf.data.options import Options
from ncf.errors import UsageError
from tests.commands import refused
from tests.docs.error_list import sites

FLAG = re.compile(r"(?<!-)--[a-z][a-z-]+|(?<![\w-])-k\b")


def test_in_python_an_error_names_the_parameter() -> None:
    with pytest.raises(UsageError, match=r"^`test_ratio` 2 is not .*; `help` shows"):
        Options(test_ratio=2)


def test_on_the_command_line_the_same_error_names_the_option(tmp_path: Path) -> None:
    words = "data prepare --ratings r --format csv --test-ratio 2 --out d"
    line = refused(*words.split(), cwd=tmp_path)
    assert line.startswith("ncf: --test-ratio 2.0 is not between 0 and 1; ")
    assert line.endswith("'ncf data prepare --help' shows what it takes")


def test_values_become_values_of_options_and_switches_switches(
    tmp_path: Path,
) -> None:
    line = refused(*["batch", "--bundle", "b", "--format", "csv", "--layout", "list"], cwd=tmp_path)
    assert line.endswith("CSV has no lists; use --layout long, or --format parquet")


def test_what_is_no_parameter_stays_as_it_is(tmp_path: Path) -> None:
    line = refused("verify", "--bundle", "`x` or `bundles`", cwd=tmp_path)
    assert line.startswith("ncf: `x` or `bundles`: not a bundle")


def test_the_library_names_no_option_of_the_command_line() -> None:
    told = [f"{site.problem}; {site.remedy}" for site in sites() if "ncf.cli" not in site.module]
    assert [text for text in told if FLAG.search(text)] == []
    assert [text for text in told if "README" in text] == [], "a wheel has none"
