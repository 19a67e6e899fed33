"""Check a bundle without its checkpoint: digests, graphs, golden requests, and parity."""

from pathlib import Path
from typing import Any

from export.archive import archived_digest
from ncf.columns import Columns
from ncf.data.tables import read_id_table
from ncf.errors import ArtifactError, ParityError
from ncf.identifiers import IdMap
from ncf.proof.bundle_parity import require_fold_in_parity, require_topk_parity
from ncf.proof.reference import graph_scorer
from ncf.scoring.bundle import IDS_FILE, ITEMS_FILE, USERS_FILE, Bundle, open_bundle
from ncf.scoring.exact import ExactRanker
from ncf.scoring.golden import replay
from ncf.scoring.manifest import BUNDLE
from ncf.scoring.recommend import Recommender
from ncf.scoring.sessions import open_cpu


def verify_bundle(path: Path) -> dict[str, Any]:
    """Check everything that does not need the checkpoint.

    Returns
    -------
    dict
        Counts of files checked and golden requests replayed, the largest difference of each
        ranking graph from the pair graph, and the bundle's ``digest``.

    Raises
    ------
    ArtifactError
        A file is missing, extra or damaged, a graph does not open, the id maps differ, a golden
        request gets another answer than at export, or the archive beside holds another bundle.
    ParityError
        The graphs give different logits.
    """
    bundle = open_bundle(path)
    _require_same_ids(bundle.users, path / USERS_FILE, Columns.USER_ID)
    _require_same_ids(bundle.items, path / ITEMS_FILE, Columns.ITEM_ID)
    report: dict[str, Any] = {"files": len(bundle.manifest.files) + 1}
    report["golden_requests"] = replay(bundle, Recommender(bundle, ExactRanker.open(bundle)))
    report |= _compare_graphs(bundle)
    archive = path.parent / f"{path.name}.mar"
    if archive.exists() and archived_digest(archive) != bundle.digest:
        raise ArtifactError(
            f"does not hold the bundle {path.name} beside it",
            where=archive,
            remedy="an export stopped between the two: export again",
        )
    return {**report, "digest": bundle.digest}


def _compare_graphs(bundle: Bundle) -> dict[str, float]:
    score = graph_scorer(open_cpu(bundle.score_graph))
    try:
        report = require_topk_parity(bundle, score) | require_fold_in_parity(bundle)
    except ParityError as error:
        raise ParityError(str(error), where=bundle.path, remedy=BUNDLE.remedy) from error
    return {name: parity.max_difference for name, parity in report.items()}


def _require_same_ids(ids: IdMap, table: Path, column: str) -> None:
    try:
        found = read_id_table(table, column)
    except (OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"not readable ({error})", where=table, remedy=BUNDLE.remedy) from error
    if found != ids:
        raise ArtifactError(f"its ids differ from those of {IDS_FILE}", where=table)
