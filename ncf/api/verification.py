"""Check that a bundle or a run is complete and correct."""

from typing import TYPE_CHECKING

import numpy as np

from batch.published_gates import judge_published
from batch.push.checking import check_target
from batch.push.targets import Target
from batch.verify import verify_run
from ncf.api.delivery import run_of, target_of
from ncf.api.figures import Figures
from ncf.api.filters import Given, filters_of
from ncf.api.jobs import bundle_folder, gates_of
from ncf.api.options import Place
from ncf.api.runs import Run
from ncf.data.naming import Given as Columned
from ncf.errors import UsageError

if TYPE_CHECKING:
    from ncf.api.bundles import Bundle


def verify(
    bundle: "Bundle | Place | None" = None,
    *,
    run: Run | Place | None = None,
    seen: Given = None,
    users: Given = None,
    exclude_items: Given = None,
    candidates: Given = None,
    exclude_pairs: Given = None,
    columns: Columned = None,
    gate: Place | None = None,
    target: str | Target | None = None,
    sample: int = 1000,
    password_file: Place | None = None,
) -> Figures:
    """Check a bundle or a run; given both, check the run's users and seen items too.

    Given a target, compare what it holds with the run, or with the newest run of ``topk``.

    Parameters
    ----------
    bundle : Bundle, str or Path, optional
        Bundle from :func:`ncf.export`, or its folder.
    run : Run, str or Path, optional
        Run from :func:`ncf.batch`, its folder or its URI.
    seen, users, exclude_items, candidates, exclude_pairs : optional
        The filters that the run was given, if any.
    columns : str or mapping, optional
        Columns of filters that are frames; for files, the run knows them.
    gate : str or Path, optional
        File of gates that the run must pass too, against the run that ``LATEST`` names or, if it
        is that one, named before it; with ``bundle``.
    target : str or Target, optional
        What the run was pushed to, as for :func:`ncf.push`.
    sample : int
        Users to read from the target; 0 reads all.
    password_file : str or Path, optional
        File with the target's password.

    Returns
    -------
    Figures
        Counts of what was checked, and the digest.

    Raises
    ------
    ArtifactError
        Something is missing, damaged or wrong; the message names it.
    ParityError
        The bundle's graphs give different logits.
    UsageError
        Neither is given, or the run was made with other filters.
    GateError
        The run fails a gate.

    Examples
    --------
    >>> ncf.verify(bundle)["golden_requests"]
    11
    >>> ncf.verify(bundle, run=run)["rows"]
    80
    """
    if target is not None:
        if bundle is not None or gate is not None:
            raise UsageError("`target` applies only to a run", remedy="leave `bundle`, `gate` out")
        if sample < 0:
            raise UsageError(f"`sample` {sample} is less than 0", remedy="give users, or 0 for all")
        with target_of(target, password_file) as opened:
            rng = np.random.default_rng()
            return Figures(check_target(run_of(run or "topk"), opened, sample, rng))
    path = None if bundle is None else bundle_folder(bundle)
    if run is not None:
        place = run.table if isinstance(run, Run) else run
        given = (seen, users, exclude_items, candidates, exclude_pairs)
        with filters_of(*given, columns=columns) as filters:
            found = verify_run(place, path, filters)
        if gate is None:
            return Figures(found)
        if path is None:
            raise UsageError("`gate` needs `bundle`", remedy="give the bundle of the run")
        return Figures({**found, "gates": judge_published(place, path, gates_of(gate))})
    if gate is not None:
        raise UsageError("`gate` applies only to a run", remedy="give `run`")
    if path is None:
        raise UsageError("give `bundle`, `run`, or both")
    from export.verify import verify_bundle  # needs onnx, which a run does not

    return Figures(verify_bundle(path))
