"""The report of a run: what is on it, that it never ends a night, and how a browser sees it."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ncf
from batch.runs import held_runs, open_runs
from batch.verify import verify_run
from ncf.errors import ArtifactError
from ncf.scoring.bundle import Bundle, open_bundle
from tests.batch.written import Listed, Table, write_run
from tests.browser import SCHEMES, SIZES, Tab, browsing, executable
from tests.commands import done, refused
from tests.commands import ncf as command

HOSTILE = '</script><img src="https://example.invalid/x" onerror="alert(1)">'
NAMES = ("20261124T030000Z-aaaaaaaa", "20261125T030000Z-bbbbbbbb")
GATES = "[table]\nrows = {min = 1}\n[ratio]\nusers = {min = 0.9}\n"


def searched(page: str) -> dict[str, list[dict[str, object]]]:
    """What the script of a page searches in."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    data: dict[str, list[dict[str, object]]] = json.loads(found)
    return data


def _batch(bundle: Bundle, home: Path, **more: object) -> ncf.Run:
    return ncf.batch(bundle.path, out=home / "topk", device="cpu", **{"k": 3, **more})  # type: ignore[arg-type]


def _page(run: ncf.Run) -> str:
    return (Path(run.table) / "_report.html").read_text(encoding="utf-8")


def test_the_page_of_a_run_has_its_verdict_and_the_users_lists(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "g").write_text(GATES)
    first = _batch(bundle, tmp_path, gate=tmp_path / "g")
    assert "nothing before it" in _page(first)
    before = ncf.read_latest(tmp_path / "topk")
    run = _batch(bundle, tmp_path, gate=tmp_path / "g", k=4)
    assert verify_run(run.table)["users"] == bundle.n_users
    page = _page(run)
    assert f"All 2 gates passed. Run {run.name}, compared with run {first.name}." in page
    assert "Every user was ranked exactly" in page
    data, opened = searched(page), open_bundle(bundle.path)
    items = [raw for raw, _ in data["items"]]
    titles = [opened.items.title(each) for each in opened.items.indices(items).tolist()]
    assert [title for _, title in data["items"]] == titles
    assert len(data["users"]) == bundle.n_users  # as they are few
    tables = {"list": ncf.read_latest(tmp_path / "topk"), "before": before}
    for user in data["users"]:
        for name, table in tables.items():
            listed = table[table.user_id == user["user"]].item_id.tolist()
            assert [items[code] for code in user[name]] == listed  # type: ignore[attr-defined]
        seen = opened.seen.of(int(opened.users.indices([str(user["user"])])[0]))
        taken = [opened.items.raw[each] for each in seen.tolist()]
        assert [items[code] for code in user["history"]] == taken[:30]  # type: ignore[attr-defined]
        assert user["taken"] == len(taken)


def test_a_run_set_aside_says_why_and_a_batch_may_do_without(
    bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "g").write_text(GATES)
    half = "user_id\n" + "\n".join(bundle.users.raw[: bundle.n_users // 2])
    (tmp_path / "half.csv").write_text(half)
    words = ("batch", "--bundle", bundle.path, "-k", 3, "--device", "cpu", "--gate", "g")
    done(*words, "--no-report", cwd=tmp_path)
    runs = open_runs(tmp_path / "topk")
    assert not (tmp_path / "topk" / runs.latest() / "_report.html").exists()
    done_with = refused_gate(*words, "--users", "half.csv", cwd=tmp_path)
    assert "1 of 2 gates failed" in done_with
    plan = ncf.plan_batch(bundle.path, out=tmp_path / "topk", k=2)
    ncf.work_batch(tmp_path / "topk")
    run = ncf.commit_batch(tmp_path / "topk", plan=plan["plan"])
    assert "No gates were asked" in _page(run)
    done("report", "--run", run.table, "--bundle", bundle.path, cwd=tmp_path)
    assert (tmp_path / "report.html").read_text() == _page(run)


def refused_gate(*words: object, cwd: Path) -> str:
    """Run a batch that fails a gate; the page of its run."""
    assert command(*words, cwd=cwd).code == 3
    runs = held_runs(open_runs(cwd / "topk"))
    (name,) = runs.names()
    return (cwd / "topk" / "_held" / name / "_report.html").read_text()


def test_a_report_that_fails_is_a_warning(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = _batch(bundle, tmp_path)
    part = Path(first.table) / "part-00000.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"x")  # what the report alone would read
    with caplog.at_level(logging.WARNING):
        run = _batch(bundle, tmp_path)
    assert "there is no report of this run, which changes nothing else" in caplog.text
    assert open_runs(tmp_path / "topk").latest() == run.name
    (tmp_path / "g").write_text(GATES)
    part.write_bytes(content)
    part = Path(run.table) / "part-00000.parquet"
    part.write_bytes(content[:-1] + b"x")  # what gates have to read
    with pytest.raises(ArtifactError, match="part-00000"):
        _batch(bundle, tmp_path, gate=tmp_path / "g")
    part.write_bytes(content)

    def breaks(_: object) -> bytes:
        raise ZeroDivisionError("no such plot")

    monkeypatch.setattr("batch.examination.report_of", breaks)
    run = _batch(bundle, tmp_path, gate=tmp_path / "g")
    assert verify_run(run.table)["rows"] == 3 * bundle.n_users
    assert not (Path(run.table) / "_report.html").exists()
    assert (Path(run.table) / "_gates.json").exists()
    assert "no such plot" in caplog.text


def test_what_a_report_is_not_of_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    assert "give --run or --checkpoint" in refused("report", cwd=tmp_path)
    both = refused("report", "--run", "a", "--checkpoint", "b", cwd=tmp_path)
    assert "give --run or --checkpoint" in both
    assert "--data goes with --checkpoint" in refused(
        "report", "--run", "a", "--data", "b", cwd=tmp_path
    )
    assert "is not here" in refused("report", "--run", "topk/none", cwd=tmp_path)
    assert bundle


def _written(out: Path) -> Path:
    """A table of 400 users, one of them with an id that would break a page, and one before it."""
    rng = np.random.default_rng(4)

    def table() -> Table:
        found = {
            f"user {n}": Listed(
                tuple(f"film {i}" for i in rng.choice(30, 5, replace=False)),
                (5.0, 4.0, 3.0, 2.0, 1.0),
            )
            for n in range(399)
        }
        return {**found, HOSTILE: Listed((HOSTILE, "film 1"), None)}

    for number, name in enumerate(NAMES):
        write_run(out, name, table(), shard_users=90, sequence=number + 1)
    (out / "_history").write_text("".join(f"{name}\n" for name in NAMES))
    return out


def test_the_sample_has_the_same_users_of_both_runs_and_no_text_ends_a_script(
    tmp_path: Path,
) -> None:
    out = _written(tmp_path / "topk")
    page = ncf.report(out, out=tmp_path / "r.html").read_text()
    users = searched(page)["users"]
    assert len(users) == 300
    assert all(user["before"] for user in users)
    frame = pd.read_parquet(out / NAMES[1])
    hashes = pd.util.hash_array(frame.user_id.unique(), categorize=False)
    expected = pd.Series(hashes, frame.user_id.unique()).nsmallest(300).index
    assert {user["user"] for user in users} == set(expected)
    assert "<img" not in page
    assert page.count("</script>") == 2


@pytest.fixture(scope="module")
def tab() -> "object":
    browser = executable()
    if browser is None:
        pytest.skip("there is no Chromium here")
    with browsing(browser) as found:
        yield found


@pytest.mark.slow
def test_a_browser_opens_the_page_without_an_error_and_fetches_nothing(
    tab: Tab, tmp_path: Path
) -> None:
    page = ncf.report(_written(tmp_path / "topk"), out=tmp_path / "r.html")
    colours = set()
    for size in SIZES:
        for scheme in SCHEMES:
            tab.open(page, size, scheme)
            assert tab.problems() == []
            assert tab.fetched() == [page.as_uri()]
            width = "document.documentElement.scrollWidth <= window.innerWidth"
            assert tab.evaluate(width), f"{size} scrolls sideways"
            colours.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == len(SCHEMES)
    assert tab.evaluate("document.images.length") == 0
    assert tab.evaluate("document.querySelectorAll('svg').length") == 2


@pytest.mark.slow
def test_the_search_finds_users_by_id_and_by_title(tab: Tab, tmp_path: Path) -> None:
    page = ncf.report(_written(tmp_path / "topk"), out=tmp_path / "r.html")
    users = searched(page.read_text())["users"]
    tab.open(page, "narrow")

    def search(text: str) -> list[str]:
        tab.evaluate(
            f"document.getElementById('search').value = {json.dumps(text)};"
            "document.getElementById('search').dispatchEvent(new Event('input'))"
        )
        found: list[str] = tab.evaluate(
            "[...document.querySelectorAll('#found button')].map(each => each.textContent)"
        )
        return found

    wanted = str(users[7]["user"])
    assert wanted in search(wanted)
    assert len(search("")) == 60
    tab.evaluate("document.querySelectorAll('#found button')[3].click()")
    shown = tab.evaluate("document.querySelector('#shown h3').textContent")
    assert shown == f"User {users[3]['user']}"
    lists = "document.querySelectorAll('#shown ol').length"
    assert tab.evaluate(lists) == 2  # now, and before
    raw = [name for name, _ in searched(page.read_text())["items"]]
    first = "[...document.querySelectorAll('#shown ol')[0].children]"
    items = tab.evaluate(f"{first}.map(each => each.textContent)")
    named = [raw[code] for code in users[3]["list"]]  # type: ignore[attr-defined]
    assert [each.rpartition(" ")[0] or each for each in items] == named
    assert search("film 7")
    assert search("nobody at all") == []
    assert "No user" in tab.evaluate("document.getElementById('shown').textContent")
    assert tab.problems() == []
