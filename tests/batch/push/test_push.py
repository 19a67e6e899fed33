"""Every kind of target holds what the run holds, whatever it held before."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.push.pushing import Wishes, push_run, roll_back
from batch.push.targets import Target, open_target
from tests.batch.push.conftest import KINDS, new_target
from tests.batch.push.servers import PASSWORD
from tests.batch.push.tables import lists_of, run_of, single, with_items
from tests.batch.written import Listed, Table

HARD = "a'b\"\\c\t\n,{}%é☃ "
SMALL: Table = {
    "u1": Listed(("1", "2"), (2.5, 0.125)),
    "u2": Listed(("3",), (1.0,)),
    "cold": Listed(("9", "8"), None),
    HARD: Listed((HARD, "NULL", "null", ""), (3.0, 2.0, 1.0, 1.0)),
}


def opened(uri: str) -> Target:
    return open_target(uri, None if uri.startswith("delta") else PASSWORD)


@pytest.mark.parametrize("uri", KINDS, indirect=True)
def test_a_push_of_changes_leaves_what_the_run_holds(uri: str, tmp_path: Path) -> None:
    first = run_of(tmp_path / "topk", 0, SMALL)
    target = opened(uri)
    found = push_run(first, target, Wishes())
    assert (found["changed"], found["gone"], found["same"], found["before"]) == (4, 0, 0, None)
    assert lists_of(target, [*SMALL]) == SMALL
    changed: Table = {
        "u1": SMALL["u1"],
        HARD: Listed(("7",), (0.1,)),
        "cold": Listed(("9", "8"), (4.0, 3.0)),
        "new": Listed(("5",), (1.5,)),
        "nothing": Listed((), ()),
    }
    changed[HARD] = Listed(("7",), (single(0.1),))
    second = run_of(tmp_path / "topk", 1, changed)
    counts = push_run(second, target, Wishes(dry_run=True))
    assert (counts["changed"], counts["gone"], counts["same"]) == (3, 1, 1)
    assert not counts["pushed"]
    assert lists_of(target, [*SMALL]) == SMALL
    found = push_run(second, target, Wishes())
    assert {**found, "pushed": False} == counts
    assert lists_of(target, [*SMALL, *changed]) == with_items(changed)
    held = target.held()
    assert held.now is not None
    assert held.before is not None
    assert (held.now.run, held.now.users, target.count()) == (second.name, 4, 4)
    again = push_run(second, target, Wishes())
    assert (again["pushed"], again["same"]) == (False, 4)
    assert roll_back(target)["run"] == first.name
    assert lists_of(target, [*SMALL, *changed]) == SMALL
    assert push_run(second, target, Wishes())["changed"] == 3
    assert lists_of(target, [*SMALL, *changed]) == with_items(changed)
    assert target.forget("u1")
    assert not target.forget("u1")
    assert lists_of(target, ["u1"]) == {}
    assert push_run(second, target, Wishes(whole=True))["changed"] == 4
    assert lists_of(target, [*changed]) == with_items(changed)
    assert push_run(first, target, Wishes(swap=True))["changed"] == 4
    assert lists_of(target, [*SMALL, *changed]) == SMALL
    target.close()


@st.composite
def tables(draw: st.DrawFn) -> Table:
    users = st.sampled_from(["a", "b", "c", "d", "e", HARD, "007", "7"])
    items = st.lists(st.sampled_from(["1", "2", "3", "4"]), unique=True, max_size=3)
    chosen = draw(
        st.dictionaries(users, st.tuples(items, st.booleans(), st.booleans()), min_size=1)
    )
    return {
        user: Listed(
            tuple(some), None if popular else tuple(2.0 - n - high for n in range(len(some)))
        )
        for user, (some, popular, high) in chosen.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    several=st.lists(
        st.tuples(tables(), st.sampled_from(["", "whole", "swap"])), min_size=2, max_size=4
    )
)
def test_any_sequence_of_pushes_leaves_what_the_last_run_holds(
    kind: str,
    several: list[tuple[Table, str]],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("sequence")
    target = opened(new_target(kind, request, folder, monkeypatch))
    everybody: list[str] = sorted({user for table, _ in several for user in table})
    for number, (table, how) in enumerate(several):
        run = run_of(folder / "topk", number, table)
        wishes: dict[str, Any] = {how: True} if how else {}
        push_run(run, target, Wishes(**wishes))
        assert lists_of(target, everybody) == with_items(table)
        assert target.count() == len(with_items(table))
    target.close()
