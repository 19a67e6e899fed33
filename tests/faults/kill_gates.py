"""Kill publishing by hand, rollback, and batches with gates, before each of their file operations.

    python -m tests.faults.kill_gates BUNDLE FOLDER [--every 1]

Afterwards LATEST must name a sound run, of those that it may, and the same command must end right.
"""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch.filters import Filters
from batch.gates import Gate
from batch.job import Job
from batch.pipeline import run_batch
from batch.places import open_place
from batch.pointer import publish_by_hand, roll_back
from batch.runs import held_runs, open_runs
from batch.verify import verify_run
from ncf.devices import Device
from ncf.errors import GateError
from ncf.scoring.bundle import open_bundle
from tests.faults.killer import killed_before, operations, succeeds

GATES = (Gate("ratio", "users", 0.9),)


@dataclass
class World:
    """A place that holds one published run and one that was set aside."""

    bundle: Path
    folder: Path

    def __post_init__(self) -> None:
        raw = open_bundle(self.bundle).users.raw
        (self.folder / "half.csv").write_text("user_id\n" + "\n".join(raw[: len(raw) // 2]))
        self.out = self.folder / "topk"
        self.batch()
        self.batch(half=True)
        self.first = open_runs(self.out).latest()
        (self.held,) = held_runs(open_runs(self.out)).names()
        shutil.copytree(self.out, self.folder / "kept")

    def begin(self) -> None:
        """Put the place back as it was."""
        shutil.rmtree(self.out)
        shutil.copytree(self.folder / "kept", self.out)

    def batch(self, *, half: bool = False) -> None:
        """Run a batch of all users, or of half of them, which fails the gate."""
        filters = Filters(users=self.folder / "half.csv") if half else Filters()
        job = Job(self.bundle, self.out, 3, Device.CPU, 11, filters=filters, gates=GATES)
        try:
            run_batch(job, datetime.now(UTC))
        except GateError:
            if not half:
                raise

    def publish(self) -> None:
        """Publish what was set aside."""
        place = open_place(self.out)
        with place.coordinating():
            publish_by_hand(place, self.held)

    def back(self) -> None:
        """Go back."""
        place = open_place(self.out)
        with place.coordinating():
            roll_back(place)


def sweep(
    world: World,
    work: Callable[[], None],
    before: Callable[[], None],
    ends: Callable[[str], bool],
    every: int,
) -> dict[str, object]:
    """Kill ``work`` before each operation; ``ends`` says whether LATEST is right after another."""
    problems: list[str] = []

    def begin() -> None:
        world.begin()
        before()

    begin()
    allowed = {open_runs(world.out).latest()}
    count, kills = operations(work), 0
    allowed.add(open_runs(world.out).latest())
    for operation in range(1, count + 1, every):
        begin()
        there = set(open_runs(world.out).names())
        kills += killed_before(work, operation)
        latest = open_runs(world.out).latest()
        new = latest not in there | {world.held}  # of a batch, whose name is new each time
        if latest not in allowed and not (new and ends(latest)):
            problems.append(f"{operation}: LATEST names {latest}")
        if not succeeds(lambda latest=latest: verify_run(world.out / latest, world.bundle)):  # type: ignore[misc]
            filters = Filters(users=world.folder / "half.csv")
            if not succeeds(
                lambda latest=latest, filters=filters: verify_run(  # type: ignore[misc]
                    world.out / latest, world.bundle, filters
                )
            ):
                problems.append(f"{operation}: LATEST names no sound run")
        if not ends(latest) and not succeeds(work):
            problems.append(f"{operation}: the same command failed")
        if not ends(open_runs(world.out).latest()):
            problems.append(f"{operation}: the same command ended wrong")
        if list(world.out.glob("*/.ncf*")) or len(held_runs(open_runs(world.out)).names()) > 2:
            problems.append(f"{operation}: left something")
    return {"operations": count, "kills": kills, "problems": problems}


def main() -> None:
    """Kill and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    world = World(asked.bundle, asked.folder)

    def nothing() -> None:
        pass

    cases = {
        "publish": (world.publish, nothing, lambda name: name == world.held),
        "rollback": (world.back, world.publish, lambda name: name == world.first),
        "set aside": (lambda: world.batch(half=True), nothing, lambda name: name == world.first),
        "passing": (world.batch, nothing, lambda name: name not in {world.first, world.held}),
    }
    report = {name: sweep(world, *case, asked.every) for name, case in cases.items()}
    sys.stdout.write(f"{json.dumps(report)}\n")


if __name__ == "__main__":
    main()
