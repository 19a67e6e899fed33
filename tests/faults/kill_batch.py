"""Kill short batch runs, again and again, and look at what is left.

    python -m tests.faults.kill_batch BUNDLE FOLDER [--every 3] [--random 200] [--seed 0] [--pieces]

Without ``--random``, before every (each N-th) file operation of one run; with it, until so
many kills have hit.
Prints what went wrong, and a count; and a line on standard error every five hundred kills.
"""

import argparse
import itertools
import json
import logging
import random
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from batch.job import Job
from batch.pieces import commit_batch
from batch.pipeline import plan_batch, run_batch
from batch.runs import open_runs
from batch.sessions import work
from batch.verify import verify_run
from ncf.devices import Device
from tests.faults.killer import killed_after, killed_before, operations, succeeds

_USERS_A_PART = 11  # of 40: four parts


class Batches:
    """Short batch runs of one bundle into one folder, that holds an older run already.

    Parameters
    ----------
    bundle : Path
        What to score with.
    folder : Path
        Scratch.
    pieces : bool
        Whether to plan, work and commit, each by itself.
    """

    def __init__(self, bundle: Path, folder: Path, *, pieces: bool = False) -> None:
        self._bundle, self._pieces = bundle, pieces
        self._out = folder / "topk"
        self._folder = folder
        self.problems: list[str] = []

    def begin(self, k: int) -> None:
        """Publish a run of another K, to be still there afterwards."""
        shutil.rmtree(self._out, ignore_errors=True)
        if not succeeds(lambda: self.run(k=k)):
            self.problems.append("an undisturbed run failed")

    def run(self, k: int = 5) -> None:
        """Run a batch to its end."""
        job = Job(self._bundle, self._out, k, Device.CPU, _USERS_A_PART, keep=2)
        if not self._pieces:
            run_batch(job, datetime.now(UTC))
            return
        plan = plan_batch(job, datetime.now(UTC))
        for number in reversed(range(plan.shards)):
            work(plan, number, job.out)
        commit_batch(job.out, keep=job.keep)

    def parts(self) -> dict[str, bytes]:
        """Bytes of the newest table."""
        runs = open_runs(self._out)
        return {
            path.name: path.read_bytes()
            for path in (self._out / runs.latest()).glob("part-*.parquet")
        }

    def check(self, label: str, undisturbed: dict[str, bytes]) -> None:
        """Hold what a killed run left to the contract."""

        def latest_is_whole() -> None:
            verify_run(str(self._out / open_runs(self._out).latest()), self._bundle)

        if not succeeds(latest_is_whole):
            self.problems.append(f"{label}: LATEST names no sound run")
        if not succeeds(self.run):
            self.problems.append(f"{label}: the same command failed")
        elif self.parts() != undisturbed:
            self.problems.append(f"{label}: the table differs from an undisturbed one")
        names = [path.name for path in self._out.iterdir()]
        if any(name.endswith(".tmp") or name == ".ncf-batch" for name in names):
            self.problems.append(f"{label}: left {names}")

    def undisturbed(self) -> dict[str, bytes]:
        """Bytes of a table whose run nobody killed."""
        shutil.rmtree(self._out, ignore_errors=True)
        succeeds(self.run)
        return self.parts()


def main() -> None:
    """Kill and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pieces", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    batches = Batches(arguments.bundle, arguments.folder, pieces=arguments.pieces)
    undisturbed = batches.undisturbed()
    batches.begin(3)
    started = time.monotonic()
    count = operations(batches.run)
    seconds = time.monotonic() - started
    kills = 0
    if arguments.random:
        rng = random.Random(arguments.seed)  # noqa: S311 - moments, not secrets
        for number in itertools.count():
            if kills == arguments.random:
                break
            hit = killed_after(batches.run, rng.uniform(0, seconds))
            kills += hit
            batches.check(f"kill {number}", undisturbed)
            if hit and kills % 500 == 0:
                sys.stderr.write(f"{kills} kills, problems: {batches.problems}\n")
    else:
        for operation in range(1, count + 1, arguments.every):
            batches.begin(3)
            kills += killed_before(batches.run, operation)
            batches.check(f"before operation {operation}", undisturbed)
    report = {"operations": count, "kills": kills, "problems": batches.problems}
    sys.stdout.write(f"{json.dumps(report)}\n")


if __name__ == "__main__":
    main()
