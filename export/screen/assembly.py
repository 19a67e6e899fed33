"""Make a bundle's screen: calibrate, build, measure on held-out users, or leave it out."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from export.screen.calibration import Choice, Options, UselessError, choose, require_promise
from export.screen.cost import Cost
from export.screen.sampling import FEWEST, ExactLogits, Groups, sample_groups
from ncf.graphs.screen import rescore_graph, screen_graph
from ncf.graphs.tower import Floats, catalogue_size
from ncf.models.weights import Weights
from ncf.proof.recall import mean_lower_bound, recalls
from ncf.scoring.bundle import RESCORE_GRAPH, SCREEN_GRAPH
from ncf.scoring.ranker import TopK
from ncf.scoring.screen_manifest import Calibrated, NoScreen, SampledUsers, Screen
from ncf.scoring.sessions import open_cpu

logger = logging.getLogger(__name__)

_TRIES = 3
_AT_ONCE = 64  # users
NOT_WANTED = NoScreen("not asked for")


@dataclass(frozen=True)
class ScreenGraphs:
    """What goes into a bundle.

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
    choice = choose(exact, groups, cost, options)
    graph = screen_graph(weights, choice.stand_in)
    trial = _Trial(graph, exact, rows, seen)
    choice, measured = _widened(choice, cost, trial, groups, options)
    gains = choice.gains(cost)
    facts = Screen(
        target=options.recall,
        seed=options.seed,
        rank=choice.stand_in.rank,
        landmarks=choice.stand_in.landmarks.size,
        users=SampledUsers(groups.fit.size, groups.choose.size, groups.held_out.size),
        by_k=tuple(
            Calibrated(
                k=k,
                candidates=candidates,
                recall=round(float(measured[k].mean()), 6),
                recall_bound=round(mean_lower_bound(measured[k]), 6),
                estimated_gain=round(gains[k], 1),
            )
            for k, candidates in choice.candidates.items()
        ),
    )
    return ScreenGraphs({SCREEN_GRAPH: graph, RESCORE_GRAPH: rescore_graph(weights)}, facts)


def _widened(
    choice: Choice, cost: Cost, trial: "_Trial", groups: Groups, options: Options
) -> tuple[Choice, dict[int, npt.NDArray[np.float64]]]:
    """Widen lists that miss the target on held-out users, until they meet it or gain no time."""
    for _ in range(_TRIES):
        choice = choice.worthwhile(cost)
        measured = trial.recalls(choice, groups.held_out)
        short = [k for k, found in measured.items() if found.mean() < options.recall]
        if not short:
            return choice, measured
        wider = {k: min(cost.items, k + 2 * (choice.candidates[k] - k)) for k in short}
        choice = replace(choice, candidates={**choice.candidates, **wider})
    kept = {k: c for k, c in choice.candidates.items() if k not in short}
    if not kept:
        found = max(values.mean() for values in measured.values())
        raise UselessError(f"recall on held-out users is {found:.4f}, under {options.recall}")
    return replace(choice, candidates=kept), {k: measured[k] for k in kept}


class _Trial:
    """Runs the finished graph for users whose exact lists are known."""

    def __init__(
        self, graph: bytes, exact: ExactLogits, rows: Floats, seen: sparse.csr_array
    ) -> None:
        self._session = open_cpu(graph, threads=1)
        self._exact, self._rows, self._seen = exact, rows, seen

    def recalls(
        self, choice: Choice, users: npt.NDArray[np.int64]
    ) -> dict[int, npt.NDArray[np.float64]]:
        """Compute each user's recall, by length of list."""
        found: dict[int, list[npt.NDArray[np.float64]]] = {k: [] for k in choice.candidates}
        for at in range(0, users.size, _AT_ONCE):
            some = users[at : at + _AT_ONCE]
            logits = self._exact.complete(self._exact.tower(some), some)
            for k, candidates in choice.candidates.items():
                listed = self._run(some, k, candidates)
                found[k].append(_recalls_of(listed, logits, k))
        return {k: np.concatenate(parts) for k, parts in found.items()}

    def _run(self, users: npt.NDArray[np.int64], k: int, candidates: int) -> npt.NDArray[np.int64]:
        n_items = self._seen.shape[1]
        length = min(k, n_items)
        feeds = {
            "rows": np.ascontiguousarray(self._rows[users]),
            "mask": np.zeros(n_items, np.float32),
            "seen": np.stack(self._seen[users].nonzero(), axis=1).astype(np.int64),
            "k": np.array([length], np.int64),
            "candidates": np.array([min(max(length, candidates), n_items)], np.int64),
        }
        items: npt.NDArray[np.int64] = self._session.run(["item"], feeds)[0]
        return items


def _recalls_of(listed: npt.NDArray[np.int64], logits: Floats, k: int) -> npt.NDArray[np.float64]:
    """Compute each user's recall of listed items, by the exact logits over the catalogue."""
    best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
    scores = np.take_along_axis(logits, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    exact = TopK(np.take_along_axis(best, order, axis=1), np.take_along_axis(scores, order, axis=1))
    return recalls(TopK(listed, np.take_along_axis(logits, listed, axis=1)), exact)
