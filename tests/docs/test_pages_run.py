"""The blocks of every page run, from its top to its end, as its reader would run them."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from rich.text import Text

import ncf
from tests.batch.push.servers import postgres
from tests.docs.blocks import all_pages, blocks, world
from tests.docs.error_list import ROOT
from tests.docs.gallery import FOLDER, SESSIONS, TUTORIAL, make_report, read_tutorial, shape, typed
from tests.docs.readers import SHOP, WORLDS, Reader, copy_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pages")]

RUN = [page for page in all_pages() if world(page) and page != TUTORIAL]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a world once, and copy it for each page."""

    @cache
    def once(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        WORLDS[name](folder)
        return folder

    return lambda name: copy_of(once(name), tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, made: Callable[[str], Path], tmp_path: Path) -> None:
    with ExitStack() as started:
        name = world(page)
        shop = started.enter_context(postgres(tmp_path)) if name == "postgres" else SHOP
        reader = Reader(made(name), shop.partition("?")[0])
        started.callback(reader.close)
        for block in blocks(page):
            reader.run(block)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who did the tutorial, with MovieLens 100K."""
    folder = tmp_path_factory.mktemp("tutorial")
    read_tutorial(folder)
    return folder


def test_the_tutorial_ends_with_a_table_of_all_users(learned: Path) -> None:
    table = ncf.read_latest(learned / "topk")
    assert table.groupby("user_id").size().tolist() == [10] * 943
    assert set(table.policy) == {"model"}


@pytest.mark.parametrize("name", SESSIONS)
def test_the_gallery_shows_what_the_commands_print(name: str, learned: Path) -> None:
    shown = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert shape(typed(learned, SESSIONS[name])) == shape(Text(shown).plain), "run make gallery"


def test_the_report_in_the_gallery_has_the_parts_of_one_of_today(tmp_path: Path) -> None:
    shown = (FOLDER / "report.html").read_text(encoding="utf-8")
    headings = re.compile(r"<h[12][^>]*>([^<0-9]+)")
    assert len(headings.findall(shown)) >= 4
    assert headings.findall(make_report(tmp_path)) == headings.findall(shown), "run make gallery"
