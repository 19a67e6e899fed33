"""Find the blocks of code on the pages, and what the page says of each.

Every block of code is run by ``test_pages_run.py`` as a reader would run it, from the top of the
page to its end, unless a comment above it says otherwise::

    <!-- not run: REASON -->
    <!-- run by test_outputs.py::test_duckdb_reads_a_run -->

A block with ``title="gates.toml"`` is a file that the reader writes. ``<!-- stays -->`` marks a
command that runs on in a terminal of its own, and ``<!-- ends with 2 -->`` one that must fail.
``<!-- starts with: ratings -->`` at the top of a page names what the reader has by then.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.error_list import ROOT
from tests.docs.site import pages

CODE = {"sh", "bash", "python", "sql", "toml", "yaml", "json"}
_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>[^\n]*) -->\n+)?"
    r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<text>.*?)^[ ]*```$",
    re.DOTALL | re.MULTILINE,
)
_WORLD = re.compile(r"^<!-- starts with: (\w+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: Path
    line: int
    language: str
    title: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_code(self) -> bool:
        """Whether a reader would run or write it, rather than read it."""
        return self.language in CODE

    @property
    def is_left_out(self) -> bool:
        """Whether the page says that nothing runs it here, or something else does."""
        return self.mark.startswith(("not run: ", "run by "))


def all_pages() -> list[Path]:
    """Every page whose blocks count: the README and what is under ``docs/``."""
    return [ROOT / "README.md", *pages()]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        language, _, rest = found["info"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        indent = len(found["indent"])
        lines = (line[indent:] for line in found["text"].splitlines())
        yield Block(
            page,
            text.count("\n", 0, found.start("info")) + 1,
            language,
            title.group(1) if title else "",
            found["mark"] or "",
            "\n".join(lines) + "\n",
        )


def world(page: Path) -> str:
    """What the reader of a page has when it begins; empty where the page runs nothing."""
    found = _WORLD.search(page.read_text(encoding="utf-8"))
    return found.group(1) if found else ""


def ncf_commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each ``ncf`` command in a block of ``sh``."""
    joined = re.sub(r"\\\n\s*", " ", block.text)
    for line in joined.splitlines():
        for part in re.split(r"&&|\|\||[;|&]|\$\(|\bdo\b", _without_comment(line)):
            words = re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", part)
            while words and ("=" in words[0] or words[0] in {"nice", "exec", "time"}):
                words = words[1:]
            if words and words[0] in {"ncf", ".venv/bin/ncf"}:
                yield [word.strip("\"'") for word in _before_redirection(words[1:])]


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line)


def _before_redirection(words: list[str]) -> list[str]:
    cut = next((n for n, word in enumerate(words) if re.match(r"\d?[<>]", word)), len(words))
    return [word.rstrip(")") for word in words[:cut]]
