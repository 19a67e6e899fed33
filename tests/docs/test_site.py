"""The documentation site: every page, name and command on it, no dead link, nothing fetched."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import ncf
from tests.docs.cli_page import PAGE as COMMANDS
from tests.docs.cli_page import commands, page
from tests.docs.error_list import ROOT
from tests.docs.site import build, pages

PYTHON = ROOT / "docs" / "reference" / "python.md"


def _navigated() -> set[str]:
    """Pages that the navigation names."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    return set(re.findall(r"'([\w/.-]+\.md)'", str(nav)))


def test_every_page_is_in_the_navigation() -> None:
    written = {path.relative_to(ROOT / "docs").as_posix() for path in pages()}
    assert written - _navigated() == set(), "name the page in zensical.toml"
    assert _navigated() - written == set(), "zensical.toml names a page that is not there"


def test_the_page_of_commands_is_what_their_help_says() -> None:
    assert COMMANDS.read_text(encoding="utf-8") == page(), "run python -m tests.docs.cli_page"
    names = {name for name, _ in commands()}
    assert {"ncf train", "ncf data prepare", "ncf batch", "ncf batch commit"} <= names


def test_every_public_name_is_on_the_page_of_python() -> None:
    named = re.findall(r"(?m)^::: (ncf\.\w+)$", PYTHON.read_text(encoding="utf-8"))
    assert len(named) == len(set(named))
    assert set(named) == {f"ncf.{name}" for name in ncf.__all__}


def test_the_readme_is_one_screen() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 50
    assert "make train export batch" in text
    assert "\nmake test " in text


class _Links(HTMLParser):
    """Collects what a page links to, what it loads, and what may be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in {"stylesheet", "icon", "preload", "preconnect"}:
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def site() -> dict[Path, _Links]:
    """The site, built as 'make docs' builds it; its pages."""
    return {path: _Links(path) for path in sorted(build().rglob("*.html"))}


@pytest.mark.slow
def test_no_link_of_the_site_is_dead(site: dict[Path, _Links]) -> None:
    assert len(site) >= len(pages())
    dead = []
    for path, found in site.items():
        if path.name == "404.html":
            continue  # its links begin at the root of the server that shows it
        for link in [*found.links, *found.loaded]:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:|//", target):
                continue
            there = (path.parent / target.partition("?")[0]).resolve() if target else path
            if not there.is_file() or (anchor and anchor not in site[there].anchors):
                dead.append(f"{path.name}: {link}")
    assert dead == []


@pytest.mark.slow
def test_a_page_fetches_nothing_when_it_is_viewed(site: dict[Path, _Links]) -> None:
    loaded = {link for found in site.values() for link in found.loaded}
    assert loaded
    assert [link for link in loaded if re.match(r"(?!data:)\w+:|//", link)] == []
    scripts = re.compile(r"<script\b[^>]*>(.*?)</script>", re.DOTALL)
    inline = {text for page in site for text in scripts.findall(page.read_text(encoding="utf-8"))}
    assert [
        text for text in inline if re.search(r"https?://(?!www\.w3\.org/)|//unpkg|//cdn", text)
    ] == []
    sheets = [path for page in site for path in page.parent.rglob("*.css")]
    assert [path for path in sheets if re.search(r"url\(['\"]?https?:", path.read_text())] == []


@pytest.mark.slow
def test_every_public_name_has_its_docstring_on_the_site(site: dict[Path, _Links]) -> None:
    (path,) = (each for each in site if each.as_posix().endswith("reference/python.html"))
    assert {f"ncf.{name}" for name in ncf.__all__} <= site[path].anchors
    text = re.sub(r"<[^>]+>|\s+", " ", path.read_text(encoding="utf-8"))
    for name in sorted(set(ncf.__all__) - {"__version__"}):
        first = (getattr(ncf, name).__doc__ or "").strip().splitlines()[0]
        words = re.findall(r"[A-Za-z]{4,}", re.sub(r":\w+:|`[^`]*`", "", first))[:3]
        assert all(word in text for word in words), name
    assert ":func:" not in text
    assert ":class:" not in text
