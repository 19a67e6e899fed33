"""What may go wrong in a push: one line, and the old lists are untouched."""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import redis

import ncf
from batch.push import targets
from batch.push.checking import check_target
from batch.push.pushing import Wishes, push_run
from batch.push.targets import Target, open_target
from ncf.errors import ArtifactError, LockedError, UnreachableError, UsageError
from tests.batch.push.conftest import KINDS, new_target
from tests.batch.push.servers import PASSWORD, free_port, valkey
from tests.batch.push.tables import lists_of, run_of
from tests.batch.push.test_push import SMALL, opened
from tests.batch.written import Listed, Table
from tests.commands import ncf as command
from tests.commands import refused

if TYPE_CHECKING:
    import psycopg

MANY: Table = {f"u{n}": Listed((str(n % 7), "x"), (2.0, 1.0)) for n in range(60)}


@pytest.mark.parametrize("uri", KINDS, indirect=True)
def test_commands_push_ask_go_back_and_verify(uri: str, tmp_path: Path) -> None:
    run_of(tmp_path / "topk", 0, SMALL)
    first = json.loads(command("push", "--to", uri, "--json", cwd=tmp_path).out)
    assert (first["changed"], first["pushed"]) == (4, True)
    run_of(tmp_path / "topk", 1, MANY)
    dry = json.loads(command("push", "--to", uri, "--dry-run", "--json", cwd=tmp_path).out)
    assert (dry["changed"], dry["gone"], dry["pushed"]) == (60, 2, False)
    assert "not 2026" in refused("verify", "--target", uri, cwd=tmp_path)
    assert command("push", "--to", uri, "--rate", 1e6, cwd=tmp_path).code == 0
    status = json.loads(command("push", "--status", "--to", uri, "--json", cwd=tmp_path).out)
    assert (status["users"], status["before"], status["model"]) == (60, first["run"], "0" * 64)
    assert 0 <= status["age_hours"] < 1
    found = json.loads(
        command("verify", "--target", uri, "--sample", 0, "--json", cwd=tmp_path).out
    )
    assert (found["users"], found["compared"]) == (60, 60)
    back = command("push", "--rollback", "--to", uri, "--json", cwd=tmp_path)
    assert json.loads(back.out)["run"] == first["run"]
    assert "no version to go back to" in refused("push", "--rollback", "--to", uri, cwd=tmp_path)
    assert PASSWORD not in back.out + back.err


@pytest.mark.parametrize("uri", KINDS, indirect=True)
def test_verify_names_a_user_whose_list_somebody_changed(uri: str, tmp_path: Path) -> None:
    run, target = run_of(tmp_path / "topk", 0, MANY), opened(uri)
    push_run(run, target, Wishes())
    rng = np.random.default_rng(0)
    assert check_target(run, target, 30, rng)["compared"] >= 30
    target.forget("u7")
    with pytest.raises(ArtifactError, match=r"u7.* has no list"):
        check_target(run, target, 0, rng)
    target.close()


def test_another_push_waits_or_is_refused(uri_pair: tuple[Target, Target], tmp_path: Path) -> None:
    one, other = uri_pair
    run = run_of(tmp_path / "topk", 0, SMALL)
    push_run(run, one, Wishes())
    second = run_of(tmp_path / "topk", 1, MANY)
    with one.locked(), pytest.raises(LockedError, match="another push writes here"):
        push_run(second, other, Wishes())
    assert lists_of(other, [*SMALL]) == SMALL
    assert push_run(second, other, Wishes())["pushed"]


@pytest.fixture(params=["postgres", "valkey"])
def uri_pair(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Target, Target]]:
    """Two connections to one target."""
    found = new_target(request.param, request, tmp_path, monkeypatch)
    both = opened(found), opened(found)
    yield both
    for target in both:
        target.close()


def test_two_delta_commits_at_once_are_one(tmp_path: Path) -> None:
    uri = f"delta://{tmp_path / 'lists'}"
    one, other = opened(uri), opened(uri)
    push_run(run_of(tmp_path / "topk", 0, SMALL), one, Wishes())
    second = run_of(tmp_path / "topk", 1, MANY)
    begin = type(one).begin

    def late(self: Target, push: targets.Push) -> int:
        done: int = begin(self, push)
        push_run(second, other, Wishes())
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one, "begin", late.__get__(one))
        with pytest.raises(ArtifactError, match="another version than when the push began"):
            push_run(run_of(tmp_path / "topk", 2, SMALL), one, Wishes())
    assert lists_of(one, [*MANY]) == MANY


@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_a_wrong_password_is_one_line_without_it(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run_of(tmp_path / "topk", 0, SMALL)
    uri = request.getfixturevalue(f"{kind}_server")
    (tmp_path / "secret").write_text("wrong\n")
    words = ("push", "--to", uri, "--password-file", "secret")
    assert "check user" in refused(*words, cwd=tmp_path)
    hidden = uri.replace("://shop@", "://").replace("://", "://shop:wrong@")
    assert "wrong@" not in refused("push", "--to", hidden, cwd=tmp_path)


def test_nobody_at_the_address_means_try_again(tmp_path: Path) -> None:
    run_of(tmp_path / "topk", 0, SMALL)
    for scheme in ("postgresql", "redis"):
        line = refused(
            "push", "--to", f"{scheme}://127.0.0.1:{free_port()}/0", cwd=tmp_path, code=75
        )
        assert "does not answer" in line


def test_an_unknown_scheme_names_those_that_are_known(tmp_path: Path) -> None:
    run_of(tmp_path / "topk", 0, SMALL)
    assert "postgresql://" in refused("push", "--to", "mysql://x/y", cwd=tmp_path)


def test_a_table_of_another_shape_is_left_as_it_is(
    shop: "psycopg.Connection[tuple[object, ...]]", postgres_server: str, tmp_path: Path
) -> None:
    shop.execute("CREATE TABLE orders (user_id text, price int)")
    shop.execute("INSERT INTO orders VALUES ('u1', 3)")
    run = run_of(tmp_path / "topk", 0, SMALL)
    for wishes in (Wishes(), Wishes(swap=True), Wishes(whole=True)):
        target = opened(f"{postgres_server}?table=orders")
        with pytest.raises(UsageError, match=r"another shape .user_id text, price integer"):
            push_run(run, target, wishes)
        target.close()
    assert shop.execute("SELECT * FROM orders").fetchall() == [("u1", 3)]


def test_a_view_keeps_a_table_from_being_swapped(
    shop: "psycopg.Connection[tuple[object, ...]]", postgres_server: str, tmp_path: Path
) -> None:
    target = opened(f"{postgres_server}?table=viewed")
    push_run(run_of(tmp_path / "topk", 0, SMALL), target, Wishes())
    shop.execute("CREATE VIEW shown AS SELECT user_id FROM viewed")
    second = run_of(tmp_path / "topk", 1, MANY)
    with pytest.raises(UsageError, match="view shown reads the table"):
        push_run(second, target, Wishes(swap=True))
    push_run(second, target, Wishes())
    assert shop.execute("SELECT count(*) FROM shown").fetchone() == (60,)
    target.close()


def test_a_reader_that_holds_the_table_only_delays_a_swap(
    shop: "psycopg.Connection[tuple[object, ...]]", postgres_server: str, tmp_path: Path
) -> None:
    target = opened(f"{postgres_server}?table=busy")
    push_run(run_of(tmp_path / "topk", 0, SMALL), target, Wishes())
    second = run_of(tmp_path / "topk", 1, MANY)
    with shop.transaction():
        shop.execute("SELECT * FROM busy")
        push_run(second, target, Wishes(whole=True))  # a merge waits for no reader
    assert lists_of(target, [*MANY]) == MANY
    target.close()


def test_a_full_server_keeps_the_old_lists(tmp_path: Path) -> None:
    with valkey(tmp_path, "--maxmemory", "4mb", "--maxmemory-policy", "noeviction") as uri:
        target = opened(uri)
        push_run(run_of(tmp_path / "topk", 0, SMALL), target, Wishes())
        large: Table = {f"{n:05}{'x' * 300}": Listed(("1",), (1.0,)) for n in range(30_000)}
        second = run_of(tmp_path / "topk", 1, large, shard_users=10_000)
        with pytest.raises(UnreachableError, match="is full"):
            push_run(second, target, Wishes())
        assert lists_of(target, [*SMALL]) == SMALL
        admin = redis.Redis.from_url(uri.replace("valkey:", "redis:"), password=PASSWORD)
        admin.config_set("maxmemory", "0")
        assert push_run(second, target, Wishes())["changed"] == 30_000
        assert target.count() == 30_000
        target.close()


def test_a_run_that_is_gone_means_that_all_lists_are_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = opened(f"delta://{tmp_path / 'lists'}")
    push_run(run_of(tmp_path / "a", 0, SMALL), target, Wishes())
    found = push_run(run_of(tmp_path / "b", 1, {**SMALL, **MANY}), target, Wishes())
    assert (found["changed"], found["same"]) == (62, 0)
    assert "writing all lists" in caplog.text


def test_a_package_may_bring_a_target_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "shelf.py"
    module.write_text(
        "from batch.push.delta import Delta\n"
        "def open_shelf(uri, password=None):\n"
        "    return Delta(uri.removeprefix('shelf://'), uri)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("shelf", "shelf:open_shelf", targets.GROUP)
    monkeypatch.setattr(targets, "entry_points", lambda group: [entry] if group else [])
    run = run_of(tmp_path / "topk", 0, SMALL)
    found = ncf.push(f"shelf://{tmp_path / 'lists'}", run.place)
    assert found["changed"] == 4
    assert ncf.push_status(open_target(f"shelf://{tmp_path / 'lists'}"))["users"] == 4
    sys.modules.pop("shelf")
