"""Build the documentation site: ``make docs``.

    python -m tests.docs.site

Zensical builds what is under ``docs/``. Pages also link to files beside that folder, such as a
manifest in ``deploy/``: these are copied beside the pages, so that the site is whole by itself.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.error_list import ROOT

STAGED = ROOT / ".site"  # pages and files as Zensical reads them
BUILT = STAGED / "html"
_LINK = re.compile(r"(?<!\\)\]\((?!\w+:|#|<)([^()\s#]+)(#[^()\s]*)?\)")
_FENCE = re.compile(r"^ *```", re.MULTILINE)
_FILES = "files"


def pages() -> list[Path]:
    """Find every page, by path under ``docs/``."""
    return sorted((ROOT / "docs").rglob("*.md"))


def stage() -> Path:
    """Copy ``docs/`` and every file that its pages link to; the folder of the copies.

    Raises
    ------
    FileNotFoundError
        A page links to a file that does not exist.
    """
    source = STAGED / "pages"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    waiting, done = pages(), set[Path]()
    while waiting:
        page = waiting.pop()
        text, linked = _relinked(page)
        _place(page, source).write_text(text, encoding="utf-8")
        for path in linked - done:
            target = _place(path, source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            if path.suffix == ".md":
                waiting.append(path)
        done |= linked
    return source


def _place(path: Path, source: Path) -> Path:
    """Where the copy of a file is."""
    inside = path.is_relative_to(ROOT / "docs")
    return source / (path.relative_to(ROOT / "docs") if inside else _FILES / path.relative_to(ROOT))


def _relinked(page: Path) -> tuple[str, set[Path]]:
    """Point the links of a page to the copies; its text, and the files outside ``docs/``."""
    outside: set[Path] = set()

    def relink(found: re.Match[str]) -> str:
        target, anchor = found.groups()
        path = Path(os.path.normpath(page.parent / target))
        if not path.is_file():
            raise FileNotFoundError(f"{page.relative_to(ROOT)} links to {target}; name a file")
        if not path.is_relative_to(ROOT / "docs"):
            outside.add(path)
        here, there = _place(page, Path()), _place(path, Path())
        return f"]({os.path.relpath(there, here.parent)}{anchor or ''})"

    parts = _FENCE.split(page.read_text(encoding="utf-8"))
    parts[::2] = [_LINK.sub(relink, part) for part in parts[::2]]  # the others are code
    return "```".join(parts), outside


def build() -> Path:
    """Build the site, and stop at a warning of Zensical's; the folder of its pages."""
    stage()
    configured = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    (STAGED / "zensical.toml").write_text(configured, encoding="utf-8")
    words = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    # Without colours; and stubs and modules are read from the checkout.
    environment = os.environ | {"NO_COLOR": "1", "TERM": "dumb"}
    subprocess.run([*words, "-f", str(STAGED / "zensical.toml")], check=True, env=environment)
    return BUILT


if __name__ == "__main__":
    place = build().relative_to(ROOT)
    hint = f"'python3 -m http.server -d {place}' serves it, with its search"
    sys.stdout.write(f"{place}/index.html; {hint}\n")
