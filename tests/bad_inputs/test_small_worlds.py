"""Worlds with next to nothing in them: a result or an error in one line, and never a hang."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import done, ncf

_SECONDS = 60
QUICK = "factors = 2\nlayers = 1\n[schedule]\nepochs = 2\nbatch_size = 16\n"


def _rows(*users: tuple[str, str]) -> str:
    """CSV of users with their items, a letter each."""
    rows = [f"{user},{item}" for user, items in users for item in items]
    return "\n".join(["user_id,item_id", *rows]) + "\n"


# Ratings, and the last command that has to end well.
WORLDS = {
    "one pair": (_rows(("u", "a")), "prepare"),
    "one user": (_rows(("u", "abcdef")), "batch"),
    "one item": (_rows(("u", "a"), ("v", "a"), ("w", "a")), "prepare"),
    "two users who saw everything": (_rows(("u", "abcd"), ("v", "abcd")), "batch"),
    "users of two interactions": (_rows(("u", "ab"), ("v", "bc"), ("w", "ca")), "prepare"),
    "a user who saw everything": (_rows(("u", "abcdef"), ("v", "abc"), ("w", "ad")), "batch"),
    "nobody's negatives but one's": (_rows(("u", "abc"), ("v", "abcd"), ("w", "abcd")), "batch"),
    "one user who stayed": (_rows(("u", "abcde"), ("v", "f"), ("w", "g")), "batch"),
}
WAY = {
    "prepare": "data prepare --ratings r.csv --format csv --negatives 5 --out data",
    "train": "train --data data --model neumf-end --out c --config quick.toml --device cpu",
    "evaluate": "evaluate --checkpoint c --data data --protocol full",
    "export": "export --checkpoint c --data data --out store",
    "verify": "verify --bundle store/ncf",
    "batch": "batch --bundle store/ncf --device cpu",
}


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Fail what takes a minute."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"{_SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("split", ["leave-one-out", "random"])
@pytest.mark.parametrize("what", WORLDS)
def test_a_small_world_goes_as_far_as_it_can_and_then_says_why(
    what: str, split: str, tmp_path: Path
) -> None:
    ratings, last = WORLDS[what]
    (tmp_path / "r.csv").write_text(ratings)
    (tmp_path / "quick.toml").write_text(QUICK)
    reached = []
    for step, command in WAY.items():
        words = [*command.split(), *(["--split", split] if step == "prepare" else [])]
        ended = ncf(*words, cwd=tmp_path)
        if ended.code:
            errors = [line for line in ended.err.splitlines() if line.startswith("ncf: ")]
            assert (ended.code, ended.out, len(errors)) == (2, "", 1)
            assert "; " in errors[0]
            if step == "evaluate":  # nothing to rank is no reason not to serve
                continue
            break
        reached.append(step)
    if split == "leave-one-out":
        assert last in reached
        assert "batch" not in reached or last == "batch"


def test_users_with_one_interaction_stay_in_training_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(_rows(("u", "abc"), ("v", "a"), ("w", "b")))
    counts = json.loads(done(*WAY["prepare"].split(), "--json", cwd=tmp_path))
    assert (counts["users"], counts["users_without_test_case"], counts["test"]) == (3, 2, 1)
    assert counts["train"] + counts["validation"] + counts["test"] == 5


def test_of_duplicate_pairs_one_is_kept_and_the_rest_counted(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(_rows(("u", "aabac"), ("v", "ab")))
    counts = json.loads(done(*WAY["prepare"].split(), "--json", cwd=tmp_path))
    assert (counts["rows"], counts["duplicates"]) == (7, 2)
    assert counts["train"] + counts["validation"] + counts["test"] == 5
