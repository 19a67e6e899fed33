"""A push is killed before every word to the server: readers see old or new lists, never a mix."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deltalake
import psutil
import psycopg
import pytest
from psycopg import sql

from batch.push import delta
from batch.push.keyvalue import KeyValue
from batch.push.postgres import Postgres
from batch.push.pushing import Wishes, push_run
from batch.push.targets import Target, open_target
from batch.reading import Published
from tests.batch.push.conftest import new_target
from tests.batch.push.servers import PASSWORD
from tests.batch.push.tables import lists_of, run_of
from tests.batch.written import Listed, Table
from tests.faults.kill_push import COUNTED

OLD: Table = {f"u{n}": Listed((str(n), "x"), (2.0, 1.0)) for n in range(8)}
NEW: Table = {f"u{n}": Listed((str(n + n % 2), "x"), (2.0, 1.0)) for n in range(2, 10)}
USERS = sorted({*OLD, *NEW})
WAYS = [("postgres", "changes"), ("postgres", "whole"), ("postgres", "swap")]
WAYS += [("valkey", "changes"), ("valkey", "whole"), ("delta", "changes"), ("delta", "swap")]


def opened(uri: str) -> Target:
    return open_target(uri, None if uri.startswith("delta") else PASSWORD)


@contextmanager
def reading(uri: str) -> Iterator[list[str]]:
    """Read all users over and over; what is neither the old nor the new table is noted."""
    wrong: list[str] = []
    ended = threading.Event()

    def read() -> None:
        target = opened(uri)
        while not ended.is_set():
            found = lists_of(target, USERS)  # one statement: of all users at once
            ended.wait(0.005)
            if found not in (OLD, NEW):
                wrong.append(str(found))
        target.close()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield wrong
    finally:
        ended.set()
        thread.join()


class Killed(BaseException):
    """Nothing of this push goes to the server any more."""


class Kills:
    """Ends a push before a given word to the server, as its death would: nothing follows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self._main = threading.current_thread()
        for owner, names in COUNTED.items():
            for name in names:
                monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))
        monkeypatch.setattr(delta, "write_deltalake", self._counted(deltalake.write_deltalake))
        # The lock of a process that is dead; it is this one here.
        monkeypatch.setattr(psutil, "pid_exists", lambda _: self.left < 0)

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
            if threading.current_thread() is self._main:
                if self.left == 0:
                    raise Killed
                self.left -= 1
            return call(*arguments, **named)

        return counting

    def push(self, uri: str, run: Published, wishes: Wishes, word: int) -> bool:
        """Push, and say whether it was killed."""
        target = opened(uri)
        self.left = word
        try:
            push_run(run, target, wishes)
        except Killed:
            _cut(target)
            return True
        finally:
            self.left = -1
        target.close()
        return False


def _cut(target: Target) -> None:
    """Close the connection as the end of a process does."""
    if isinstance(target, Postgres):
        target._db.pgconn.finish()
    elif isinstance(target, KeyValue):
        target._client.connection_pool.disconnect()
    else:
        target.close()


@pytest.mark.parametrize(
    ("kind", "how"),
    [pytest.param(*way, marks=[pytest.mark.slow] if way[0] == "postgres" else []) for way in WAYS],
)
def test_killed_before_every_word_readers_see_old_or_new_lists(
    kind: str,
    how: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = new_target(kind, request, tmp_path, monkeypatch)
    first = run_of(tmp_path / "topk", 0, OLD)
    second = run_of(tmp_path / "topk", 1, NEW)
    wishes = Wishes(whole=how == "whole", swap=how == "swap")
    target, kills = opened(uri), Kills(monkeypatch)
    push_run(first, target, Wishes())
    killed, word = True, 0
    with reading(uri) as wrong:
        while killed:
            killed = kills.push(uri, second, wishes, word)
            assert lists_of(target, USERS) in ((OLD, NEW) if killed else (NEW,))
            if killed:
                monkeypatch.setattr(psutil, "pid_exists", lambda _: False)
                assert not kills.push(uri, second, wishes, -1)  # the same command ends it
            assert lists_of(target, USERS) == NEW
            held = target.held()
            assert held.now is not None
            assert (held.now.run, held.now.users, target.count()) == (second.name, 8, 8)
            word += 1
            _again(first, target)
    assert not wrong
    assert word > (8 if kind != "delta" else 2)
    target.close()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_killed_for_real_the_same_command_ends_it(
    kind: str,
    how: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = new_target(kind, request, tmp_path, monkeypatch)
    target = opened(uri)
    push_run(run_of(tmp_path / "topk", 0, OLD), target, Wishes())
    second = run_of(tmp_path / "topk", 1, NEW)
    with reading(uri) as wrong:
        for word in (12, 6, 2, -1):
            words = [sys.executable, "-m", "tests.faults.kill_push", uri, second.place, how]
            ended = subprocess.run([*words, str(word)], check=False, capture_output=True)
            assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    assert ended.returncode == 0
    assert not wrong
    assert lists_of(target, USERS) == NEW
    target.close()


def _again(first: Published, target: Target) -> None:
    push_run(first, target, Wishes())
    assert lists_of(target, USERS) == OLD
    if isinstance(target, Postgres):
        rows = target._db.execute("SELECT tablename FROM pg_tables WHERE tablename ~ '_ncf_stage_'")
        assert rows.fetchall() == []


@pytest.mark.slow
def test_a_swap_keeps_what_others_may_do(
    shop: "psycopg.Connection[tuple[object, ...]]", postgres_server: str, tmp_path: Path
) -> None:
    target = opened(f"{postgres_server}?table=granted")
    push_run(run_of(tmp_path / "topk", 0, OLD), target, Wishes())
    shop.execute("CREATE ROLE reader")
    shop.execute("GRANT SELECT ON granted TO reader")
    push_run(run_of(tmp_path / "topk", 1, NEW), target, Wishes(swap=True))
    for name in ("granted", "granted_ncf_before"):
        found = shop.execute(
            "SELECT has_table_privilege('reader', %s, 'SELECT')", [name]
        ).fetchone()
        assert found == (True,)
    shop.execute(sql.SQL("DROP OWNED BY reader; DROP ROLE reader"))
    target.close()
