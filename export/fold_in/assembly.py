"""Make all that a bundle needs to fold in: the graph, the map of items, and the promise."""

import logging
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from export.fold_in.promise import FOLDS, Indices, Judged, Trial, promises, shortest
from ncf.data.prepared import PreparedData
from ncf.errors import UsageError
from ncf.evaluation.full_ranking import Panel
from ncf.graphs.builder import LARGEST_MODEL
from ncf.graphs.fold_in import fold_in_graph, item_vectors
from ncf.graphs.fold_in_fit import MOST_FITTED, normal_equations
from ncf.graphs.topk import user_rows
from ncf.graphs.tower import Floats
from ncf.models.weights import Weights
from ncf.scoring.fold_in_manifest import FoldInFacts, NoFoldIn

logger = logging.getLogger(__name__)

SEED = 0
UNMEASURED = 3
"""``min_history`` where the data has no test case to measure it by."""
NOT_WANTED = NoFoldIn("not asked for")
_MOST_JUDGED, _LOGITS = 2_000, 1 << 23
_FEWEST = 20  # users to fit on


@dataclass(frozen=True)
class Honest:
    """What folding in is measured with; the exported weights may have seen the test part.

    Parameters
    ----------
    weights : dict
        Weights that have not seen the test part.
    data : PreparedData
        Data whose training part they were trained on.
    """

    weights: Weights
    data: PreparedData


@dataclass(frozen=True)
class FoldInFiles:
    """What goes into a bundle.

    Parameters
    ----------
    graph : bytes
        ``foldin.onnx``; empty where there is none.
    item_map : float32 array of shape (3 d + 3, v)
        The mirror image: from the rows of those who took an item to its vector.
    facts : FoldInFacts or NoFoldIn
        For ``bundle.json``.
    """

    graph: bytes
    item_map: Floats
    facts: FoldInFacts | NoFoldIn


def make_fold_in(
    weights: Weights,
    rows: Floats,
    history: sparse.csr_array,
    honest: Honest | None,
    min_history: int | None = None,
) -> FoldInFiles:
    """Fit both maps, and measure what the folded rows are worth.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF.
    rows : float32 array of shape (users, d)
        User rows of the top-K graphs; may be a memory map.
    history : scipy.sparse.csr_array of shape (users, items)
        The pairs that these weights were trained on.
    honest : Honest or None
        Measures what the rows are worth; None where there can be no figures.
    min_history : int, optional
        Shortest history to fold in; if not given, it is measured.
    """
    try:
        # Several threads add products in another order, which gives other bytes.
        with threadpool_limits(limits=1, user_api="blas"):
            return _made(weights, rows, history, honest, min_history)
    except _UselessError as useless:
        logger.info("strangers are not folded in: %s", useless)
        return FoldInFiles(b"", np.empty((0, 0), np.float32), NoFoldIn(str(useless)))


def summary(facts: FoldInFacts | NoFoldIn) -> str:
    """Say in one line what folding in is worth, or why there is none."""
    if isinstance(facts, NoFoldIn):
        return f"none: {facts.reason}"
    whole = next((p for p in facts.promise if p.history is None and p.protocol == "full"), None)
    worth = (
        f", NDCG@10 {whole.folded:.4f} with whole histories, {whole.trained:.4f} when trained"
        if whole
        else ", not measured: no honest test case"
    )
    return f"histories of {facts.min_history} or more{worth}"


class _UselessError(Exception):
    """Folding in would not help; the message says why."""


def _made(
    weights: Weights,
    rows: Floats,
    history: sparse.csr_array,
    honest: Honest | None,
    min_history: int | None,
) -> FoldInFiles:
    vectors = item_vectors(weights)
    if vectors.nbytes > LARGEST_MODEL:
        raise _UselessError("the item vectors do not fit into one graph")
    fitted = _drawn(history, 1)
    if fitted.size < _FEWEST:
        raise _UselessError(f"only {fitted.size} users, and {_FEWEST} are the least to learn from")
    trial = _trial(honest)
    if trial is not None and honest is not None and honest.weights is weights:
        whole = trial.whole
    else:
        own, known = rows[fitted], sparse.csr_array(history[fitted])
        whole = normal_equations(vectors, own, known, np.random.default_rng([SEED, 2]))
    if trial is None:
        least, measured = min_history or UNMEASURED, False
    else:
        found = min_history or shortest(trial)
        if found is None:
            raise _UselessError("lists from ten interactions are not better than popular items")
        least, measured = found, min_history is None
    item_map, items = _item_map(vectors, rows, history)
    facts = FoldInFacts(
        min_history=least,
        measured=measured,
        users=fitted.size,
        items=items,
        seed=SEED,
        promise=promises(trial) if trial else (),
    )
    graph = fold_in_graph(vectors, whole.solve().astype(np.float32))
    return FoldInFiles(graph, item_map, facts)


def _drawn(pairs: sparse.csr_array, stream: int) -> Indices:
    """Draw the rows to fit on, among those with a pair, ascending."""
    some = np.flatnonzero(np.diff(pairs.indptr) > 0)
    rng = np.random.default_rng([SEED, 4, stream])
    return np.sort(rng.permutation(some)[:MOST_FITTED]).astype(np.int64)


def _item_map(vectors: Floats, rows: Floats, history: sparse.csr_array) -> tuple[Floats, int]:
    """Fit the mirror image: items are known by the rows of those who took them."""
    takers = sparse.csr_array(history.T)
    fitted = _drawn(takers, 2)
    rng = np.random.default_rng([SEED, 5])
    equations = normal_equations(
        np.asarray(rows), vectors[fitted], sparse.csr_array(takers[fitted]), rng
    )
    return equations.solve().astype(np.float32), fitted.size


def _trial(honest: Honest | None) -> Trial | None:
    """Set up the measurement; None where too few users who are fitted on can be judged."""
    if honest is None:
        return None
    weights, data = honest.weights, honest.data
    try:
        panel = Panel.of(data)
    except UsageError:
        return None
    history = data.train.csr()
    fitted = _drawn(history, 1)
    if not fitted.size:
        return None
    rows = np.concatenate(list(user_rows(weights)))[fitted]
    places = np.searchsorted(fitted, panel.users)
    places[places == fitted.size] = 0
    rng = np.random.default_rng([SEED, 6])
    most = min(_MOST_JUDGED, max(100, _LOGITS // len(data.items)))
    chosen = rng.permutation(np.flatnonzero(fitted[places] == panel.users))[:most]
    chosen.sort()
    users = panel.users[chosen]
    case = _one_case(data, users, rng)
    if chosen.size < FOLDS or (case < 0).any():
        return None
    judged = Judged(
        places[chosen],
        sparse.csr_array(panel.relevant[chosen]),
        sparse.csr_array(panel.seen[users]),
        data.test.positives.items[case].astype(np.int64),
        np.asarray(data.test.negatives[case]),
        np.bincount(data.train.items, minlength=len(data.items)),
    )
    return Trial(weights, rows, sparse.csr_array(history[fitted]), judged, SEED)


def _one_case(data: PreparedData, users: Indices, rng: np.random.Generator) -> Indices:
    """Draw one test case of each user; -1 where there is none."""
    case = np.full(len(data.users), -1, np.int64)
    order = rng.permutation(len(data.test.positives))
    case[data.test.positives.users[order]] = order
    return case[users]
