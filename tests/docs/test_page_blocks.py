"""Every block of code is run by a test, or says why not; every command that it names exists."""

import ast
import re
from typing import Any

import pytest

from tests.docs.blocks import Block, all_pages, blocks, ncf_commands, world
from tests.docs.cli_page import commands
from tests.docs.error_list import ROOT

BLOCKS = [block for page in all_pages() for block in blocks(page)]
COMMANDS = dict(commands())
_MARK = re.compile(
    r"not run: .{10,}|run by (?P<module>test_\w+\.py)::(?P<test>test_\w+)|stays|ends with \d+"
    r"|starts with: \w+"
)


def _defines(module: str, test: str) -> bool:
    found = (ROOT / "tests").rglob(module)
    trees = [ast.parse(path.read_bytes()) for path in found]
    return any(getattr(node, "name", None) == test for tree in trees for node in tree.body)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    if not block.is_code:
        assert block.language in {"", "text", "console"}, "an unknown language is run by nothing"
        return
    if block.mark:
        mark = _MARK.fullmatch(block.mark)
        assert mark, block.mark
        assert not mark["module"] or _defines(mark["module"], mark["test"]), block.mark
    if block.is_left_out:
        return
    assert world(block.page), f"{block.page} runs a block, and does not say what it starts with"
    assert block.language in {"sh", "python", "sql"} or block.title, "name the file that it is"


def test_a_block_without_a_mark_or_with_a_wrong_one_would_be_found() -> None:
    page = ROOT / "docs" / "errors.md"  # runs nothing
    for language, mark in (
        ("sh", ""),
        ("python", "run by test_page_blocks.py::test_nothing"),
        ("x", ""),
    ):
        with pytest.raises(AssertionError):
            test_a_block_is_run_or_says_why_not(Block(page, 1, language, "", mark, "true\n"))


NAMED = [
    (block, words) for block in BLOCKS if block.language == "sh" for words in ncf_commands(block)
]


def test_there_are_commands_on_the_pages() -> None:
    assert len(NAMED) > 60
    assert len({words[0] for _, words in NAMED}) > 12


@pytest.mark.parametrize(("block", "words"), NAMED, ids=lambda each: str(each)[:60])
def test_a_command_on_a_page_takes_its_options(block: Block, words: list[str]) -> None:
    assert _problem(words) == "", f"{block}: ncf {' '.join(words)}"


def test_a_command_with_an_option_that_is_gone_would_be_found() -> None:
    assert _problem(["recommend", "--bundle", "b", "--people", "7"]) != ""
    assert _problem(["batch", "planning"]) != ""
    assert _problem(["train", "--data", "d", "--model", "gpt", "--out", "o"]) != ""


def _problem(words: list[str]) -> str:
    """What the command line says against the words, without running them; empty if nothing."""
    name = ["ncf"]
    while (rest := words[len(name) - 1 :]) and " ".join([*name, rest[0]]) in _PREFIXES:
        name.append(rest[0])
    command: Any = COMMANDS.get(" ".join(name))
    if command is None:
        return "no such command"
    if "--help" in rest or any("$" in word for word in rest):  # the shell knows
        return ""
    if rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        return f"no command {rest[0]}"
    try:
        command.make_context(" ".join(name), list(rest))
    except Exception as problem:  # noqa: BLE001 - Typer's own classes, which it does not name
        return str(problem) or type(problem).__name__
    return ""


_PREFIXES = {" ".join(name.split()[:n]) for name in COMMANDS for n in range(1, 4)}
