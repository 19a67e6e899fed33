"""Find whose rows are refreshed: trained users with interactions since the export."""

import numpy as np

from batch.filters import Filters
from batch.pair_files import Indices
from batch.rows import Histories
from ncf.errors import UsageError
from ncf.scoring.bundle import Bundle
from ncf.scoring.fold_in_manifest import NoFoldIn


def refreshed_users(
    bundle: Bundle,
    filters: Filters,
    histories: Histories,
    chosen: Indices | None,
    counts: dict[str, int],
) -> Indices:
    """Find the trained users of an audience whose rows are to be refreshed, and count them.

    Parameters
    ----------
    bundle : Bundle
        The exported model.
    filters : Filters
        What the batch was asked for.
    histories : Histories
        What users had taken at the export and since.
    chosen : int64 array of shape (n,), or None
        Indices of the trained users of the audience, ascending; None means all of the bundle.
    counts : dict
        Gets ``refreshed_users``.

    Returns
    -------
    int64 array
        Their indices, ascending.

    Raises
    ------
    UsageError
        There is no file of interactions, or the bundle does not fold in.
    """
    if not filters.refresh:
        return np.empty(0, np.int64)
    if filters.seen is None:
        raise UsageError(
            "`refresh` moves rows along with interactions since the export, and there is no file",
            remedy="give `seen`",
        )
    _require_fold_in(bundle)
    found = np.setdiff1d(histories.grown(), bundle.cold, assume_unique=True)
    found = found if chosen is None else np.intersect1d(found, chosen, assume_unique=True)
    counts["refreshed_users"] = found.size
    return found


def _require_fold_in(bundle: Bundle) -> None:
    facts = bundle.manifest.fold_in
    if facts is None or isinstance(facts, NoFoldIn):
        reason = facts.reason if facts else "it was exported before there was one"
        raise UsageError(
            f"`refresh` needs a bundle that folds in, and this one does not ({reason})",
            where=bundle.path,
            remedy="export it again, or leave `refresh` out",
        )
