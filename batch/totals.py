"""Finish all shards of a run, reuse parts of a batch that died, and add up the totals."""

import time
from collections import Counter
from dataclasses import replace
from typing import BinaryIO

from batch.engine import run_shards
from batch.job import Job
from batch.notes import Note
from batch.parts import Task, make_part
from batch.shards import Shard, plan
from batch.unfinished import Unfinished
from ncf.devices import Device, usable_cores
from ncf.errors import InterruptedWorkError
from ncf.progress import report
from ncf.proof.recall import PairSample

_THREADS_ON_CUDA = 4  # each thread holds a block's hidden layers


class Totals:
    """The totals over all parts."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.users: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.reused = 0
        self.elapsed = 0.0
        self.audited = PairSample()

    def add(self, name: str, note: Note, rounds: int, *, reused: bool) -> None:
        """Add a part to the totals, with its audit after so many rounds."""
        self.rows[name] = note.rows
        self.users.update(note.users)
        if rounds:
            self.audited += note.samples[rounds - 1]
        self.reused += reused
        if not reused:
            self.seconds.update(note.seconds)


def finish_parts(job: Job, task: Task, work: Unfinished) -> Totals:
    """Finish every shard; the result does not depend on the order in which they end.

    Raises
    ------
    InterruptedWorkError
        Ctrl-C or SIGTERM came; finished parts are kept.
    """
    rounds = len(task.rounds)
    shards = list(plan(len(task.audience), job.users_a_shard))
    found: dict[int, tuple[Note, bool]] = {}
    started = time.monotonic()
    with report("score users", len(task.audience)) as progress:

        def finish(task: Task, shard: Shard) -> None:
            name = job.style.part(shard.number)
            kept = work.kept(name) if rounds else None

            def make(file: BinaryIO, before: Note | None) -> Note:
                return make_part(task, shard, file, kept, before)

            found[shard.number] = work.finish(name, make, rounds)
            if found[shard.number][1]:
                progress.advance(shard.stop - shard.start)

        watched = replace(task, scored=progress.advance)
        try:
            run_shards(watched, shards, job.workers or _threads(task), finish)
        except KeyboardInterrupt as error:
            raise InterruptedWorkError(
                f"interrupted with {len(found)} of {len(shards)} parts finished",
                remedy="the same command continues from them",
            ) from error
    totals = Totals()
    for number in range(len(shards)):
        note, reused = found[number]
        totals.add(job.style.part(number), note, rounds, reused=reused)
    totals.elapsed = time.monotonic() - started
    return totals


def _threads(task: Task) -> int:
    """Count the threads that score: on a GPU, enough to prepare blocks while one is ranked."""
    cores = usable_cores()
    return min(cores, _THREADS_ON_CUDA) if task.ranker.device is Device.CUDA else cores
