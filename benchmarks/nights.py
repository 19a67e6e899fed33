"""How often a screened table proves its recall at the first try, over many nights.

A night draws other pairs; the lists are the same. Every exact logit is computed once, and an audit
looks its pairs up instead of scoring them again; the draws, counts and rounds are those of
``ncf batch``. True recall is counted over every user.

    ncf export --checkpoint checkpoints/mine --data data/mine --out model_store --name mine
    python -m benchmarks.nights model_store/mine
    python -m benchmarks.nights model_store/mine --candidates 16 20 24   # worse than calibrated
"""

import argparse
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from batch.audience import Audience, read_audience
from batch.decision import Rankers
from batch.filters import Filters
from batch.job import Job
from batch.options import Mode
from batch.parts import Task, audit
from batch.recall_contract import Contract
from batch.shards import Shard
from ncf.devices import Device, usable_cores
from ncf.proof.audit import Missed
from ncf.proof.recall import recalls
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.ranker import TopK
from ncf.scoring.rescorer import Rescorer
from ncf.scoring.screen_manifest import Screen


class LookedUp(Rescorer):
    """Looks exact logits up."""

    def __init__(self, logits: npt.NDArray[np.float32]) -> None:
        self._logits = logits

    def score(
        self, users: npt.NDArray[np.int64], items: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Look up the logits of each user's own items."""
        return self._logits[users[:, None], items]


class World:
    """A bundle, its exact lists and logits, and its screened lists by width."""

    def __init__(self, bundle: Bundle, logits: npt.NDArray[np.float32], exact: TopK) -> None:
        self.audience: Audience = read_audience(bundle, Filters())
        self.job = Job(bundle.path, "unused", exact.items.shape[1], Device.CPU, mode=Mode.SCREENED)
        self._users, self._exact = np.arange(bundle.n_users), exact
        rankers = Rankers.open(self.job, self.audience)
        if rankers.screen is None:
            raise SystemExit(f"{bundle.path} has no screen for such lists")
        screen, pool = rankers.screen, ThreadPoolExecutor(usable_cores())
        self.task = Task(self.audience, screen, self.job.k, rescorer=LookedUp(logits))
        k = self.job.k
        self.lists = cache(lambda width: screen.widened(width).rank(self._users, k, pool))
        self.recall = cache(lambda width: float(recalls(self.lists(width), exact).mean()))

    def night(self, number: int) -> tuple[int, float | None]:
        """Count the rounds of a night; also the width of the table, None for an exact one."""
        contract = Contract(self.job, self.audience, {"night": str(number)})
        rounds, missed, drawn = contract.begin(), Missed.joined([]), 0.0
        while rounds:
            now = rounds[-1]
            top = self.lists(now.width)
            sample, new = audit(self.task, Shard(0, 0, self._users.size), top, now)
            missed = Missed.joined([missed.still(top, self.audience.bundle.n_items), new])
            drawn += sample.drawn
            sample = replace(sample, drawn=drawn, missed=missed.positions.size)
            if contract.keeps(sample):
                return len(rounds), now.width
            further = contract.after(rounds, sample)
            if further is None:
                return len(rounds), None
            rounds = further
        return 0, None


def exactly(bundle: Bundle, k: int) -> tuple[npt.NDArray[np.float32], TopK]:
    """Compute every exact logit, and every exact list of K."""
    audience = read_audience(bundle, Filters())
    job = Job(bundle.path, "unused", k, Device.CPU, mode=Mode.SCREENED)
    rankers = Rankers.open(job, audience)
    users, items = np.arange(bundle.n_users), np.arange(bundle.n_items)
    rescorer = rankers.rescorer
    if rescorer is None:
        raise SystemExit(f"{bundle.path} has no screen for such lists")
    with ThreadPoolExecutor(usable_cores()) as pool:
        blocks = np.array_split(users, max(1, users.size // 64))
        every = pool.map(lambda b: rescorer.score(b, np.tile(items, (b.size, 1))), blocks)
        logits = np.concatenate(list(every))
        return logits, rankers.exact.rank(users, k, pool)


def with_candidates(bundle: Bundle, k: int, candidates: int) -> Bundle:
    """Reduce the candidates by hand, and rank nobody exactly; the calibration does not know."""
    screen = bundle.manifest.screen
    if not isinstance(screen, Screen):
        raise SystemExit(f"{bundle.path} has no screen")
    lists = tuple(
        replace(each, candidates=candidates, least_margin=None) if each.k == k else each
        for each in screen.by_k
    )
    return replace(bundle, manifest=replace(bundle.manifest, screen=replace(screen, by_k=lists)))


def print_nights(world: World, nights: int, title: str) -> None:
    """Print what nights came to."""
    ends = [world.night(number) for number in range(nights)]
    first = sum(rounds == 1 and width is not None for rounds, width in ends) / nights
    under = sum(width is not None and world.recall(width) < 0.999 for _, width in ends) / nights
    by_end = Counter("exact" if width is None else f"width {width:g}" for _, width in ends)
    rounds = Counter(count for count, _ in ends)
    missed = round((1 - world.recall(1.0)) * world.lists(1.0).valid().sum())
    print(
        f"{title}: true recall {world.recall(1.0):.6f} ({missed} missed), first try {first:.1%}, "
        f"rounds {dict(sorted(rounds.items()))}, {dict(by_end)}, "
        f"published under 0.999: {under:.1%}",
        flush=True,
    )


def main() -> None:
    """Print one line for each bundle, or for each number of candidates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="+")
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--candidates", type=int, nargs="*", default=[])
    parser.add_argument("-k", type=int, default=10)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # each further round is one
    for path in arguments.bundle:
        bundle = open_bundle(path)
        logits, exact = exactly(bundle, arguments.k)
        for count in arguments.candidates or [0]:
            one = with_candidates(bundle, arguments.k, count) if count else bundle
            title = f"{path.name}, C = {count}" if count else path.name
            print_nights(World(one, logits, exact), arguments.nights, title)


if __name__ == "__main__":
    main()
