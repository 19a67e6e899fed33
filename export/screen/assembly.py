"""Make a bundle's screen: calibrate, build, measure on held-out users, or leave it out."""

import logging
from dataclasses import dataclass, replace

from scipy import sparse
from threadpoolctl import threadpool_limits

from export.screen.calibration import Choice, Options, UselessError, choose, require_promise
from export.screen.cost import Cost
from export.screen.judging import Needs
from export.screen.sampling import FEWEST, ExactLogits, Groups, sample_groups
from export.screen.trial import Measured, Trial
from ncf.graphs.screen import rescore_graph, screen_graph
from ncf.graphs.tower import Floats, catalogue_size
from ncf.models.weights import Weights
from ncf.proof.recall import mean_lower_bound
from ncf.scoring.bundle import RESCORE_GRAPH, SCREEN_GRAPH
from ncf.scoring.screen_manifest import Calibrated, NoScreen, SampledUsers, Screen

logger = logging.getLogger(__name__)

_TRIES = 3
NOT_WANTED = NoScreen("not asked for")


@dataclass(frozen=True)
class ScreenGraphs:
    """The graphs and the facts that go into a bundle.

    Parameters
    ----------
    graphs : dict
        ONNX models by file name; none where no screen pays.
    facts : Screen or NoScreen
        For ``bundle.json``: the calibration, or the reason why there is no screen.
    """

    graphs: dict[str, bytes]
    facts: Screen | NoScreen


def make_screen(
    weights: Weights, rows: Floats, seen: sparse.csr_array, options: Options | None = None
) -> ScreenGraphs:
    """Calibrate and build the screened graph of a model.

    Parameters
    ----------
    weights : dict
        Weights of any model.
    rows : float32 array of shape (users, d)
        User rows of the top-K graphs; may be a memory map.
    seen : scipy.sparse.csr_array
        Seen items, users by items.
    options : Options, optional
        Target and seed.
    """
    options = options or Options()
    try:
        # Several threads add products in another order, which gives other bytes.
        with threadpool_limits(limits=1, user_api="blas"):
            return _calibrated(weights, rows, seen, options)
    except UselessError as useless:
        logger.info("no screened graph: %s", useless)
        return ScreenGraphs({}, NoScreen(str(useless)))


def summary(screen: Screen | NoScreen) -> str:
    """Say in one line what screen a bundle has, or why it has none."""
    if isinstance(screen, NoScreen):
        return f"none: {screen.reason}"
    least = min(each.recall for each in screen.by_k)
    lengths = ", ".join(str(each.k) for each in screen.by_k)
    users = screen.users.held_out
    return f"lists of {lengths}: recall {least:.4f} or more on {users} held-out users"


def _calibrated(
    weights: Weights, rows: Floats, seen: sparse.csr_array, options: Options
) -> ScreenGraphs:
    if "mlp.user.weight" not in weights:
        raise UselessError("a GMF has no tower: its exact graph is one matrix product already")
    cost = Cost.of(weights)
    require_promise(cost)
    if len(rows) < FEWEST:
        raise UselessError(f"only {len(rows)} users, and {FEWEST} are the least to judge by")
    groups = sample_groups(len(rows), catalogue_size(weights), options.seed)
    exact = ExactLogits(weights, rows, seen)
    choice = choose(weights, exact, groups, cost, options)
    graph = screen_graph(weights, choice.guess)
    trial = Trial(graph, exact, rows, seen)
    choice, measured = _widened(choice, cost, trial, groups, options)
    facts = Screen(
        target=options.recall,
        seed=options.seed,
        rank=choice.guess.rank,
        relus=choice.guess.shifts.size,
        users=SampledUsers(groups.fit.size, groups.choose.size, groups.held_out.size),
        by_k=tuple(
            _calibrated_list(k, needs, measured[k], choice.gains(cost)[k])
            for k, needs in choice.needs.items()
        ),
    )
    return ScreenGraphs({SCREEN_GRAPH: graph, RESCORE_GRAPH: rescore_graph(weights)}, facts)


def _calibrated_list(k: int, needs: Needs, found: Measured, gain: float) -> Calibrated:
    return Calibrated(
        k=k,
        candidates=needs.candidates,
        recall=round(found.recall(), 6),
        recall_bound=round(mean_lower_bound(found.recalls), 6),
        estimated_gain=round(gain, 1),
        missed=found.missed,
        entries=found.entries,
        least_margin=needs.least_margin,
        hard=round(found.hard, 6),
    )


def _widened(
    choice: Choice, cost: Cost, trial: Trial, groups: Groups, options: Options
) -> tuple[Choice, dict[int, Measured]]:
    """Widen lists that miss the target on held-out users, until they meet it or gain no time."""
    for _ in range(_TRIES):
        choice = choice.worthwhile(cost)
        measured = trial.measure(choice, groups.held_out)
        short = [k for k, found in measured.items() if found.recall() < options.recall]
        if not short:
            return choice, measured
        wider = {k: _doubled(choice.needs[k], k, cost.items) for k in short}
        choice = replace(choice, needs={**choice.needs, **wider})
    kept = {k: needs for k, needs in choice.needs.items() if k not in short}
    if not kept:
        best = max(found.recall() for found in measured.values())
        raise UselessError(f"recall on held-out users is {best:.4f}, under {options.recall}")
    return replace(choice, needs=kept), {k: measured[k] for k in kept}


def _doubled(needs: Needs, k: int, n_items: int) -> Needs:
    return replace(needs, candidates=min(n_items, k + 2 * (needs.candidates - k)))
