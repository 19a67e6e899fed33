"""Write ``docs/reference/cli.md``: every command with its options, from its help.

python -m tests.docs.cli_page
"""

import html
import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from ncf.cli.app import app
from tests.docs.error_list import ROOT

PAGE = ROOT / "docs" / "reference" / "cli.md"
_INTRO = """\
# Commands

This page is made from the commands' `--help`: `python -m tests.docs.cli_page` writes it, and a test
compares it with the commands. What a command reads and writes is under
[file formats](formats.md), and what its errors mean under [errors](../errors.md).
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with the words that call it, in the order of the help."""
    yield from _under("ncf", get_command(app))


def _under(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's own
    children = getattr(command, "commands", {})
    if not children or getattr(command, "invoke_without_command", False):
        yield name, command
    for word, child in children.items():
        yield from _under(f"{name} {word}", child)


def page() -> str:
    """Text of the page."""
    return "\n".join([_INTRO, *(_section(name, each) for name, each in commands())])


def _section(name: str, command: Any) -> str:  # noqa: ANN401 - Typer's own
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [f"## {name}", ""]
    for paragraph in re.split(r"\n\s*\n", command.help.strip()):
        lines += [_paragraph(" ".join(paragraph.split())), ""]
    lines += ["```text", usage, "```", "", "| option | is |", "| --- | --- |"]
    records = (each.get_help_record(context) for each in command.get_params(context))
    for option, help_text in (each for each in records if each):
        if not option.startswith("--help"):
            lines.append(f"| {_code(option)} | {_escaped(' '.join(help_text.split()))} |")
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> str:
    """Mark the command of an example as code."""
    said, colon, line = text.partition(": ")
    if colon and line.startswith("ncf "):
        return f"{_escaped(said)}: `{line}`"
    return _escaped(text)


def _code(text: str) -> str:
    """Mark up code in a table, where a bar ends the cell."""
    return f"<code>{html.escape(text, quote=False).replace('|', '&#124;<wbr>')}</code>"


def _escaped(text: str) -> str:
    """Keep Markdown from reading what a terminal shows as it is."""
    return re.sub(r"([|<>*_\[\]])", r"\\\1", text.replace("\n", " "))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
