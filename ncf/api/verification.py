"""Whether a bundle or a published table is whole, and right."""

from typing import TYPE_CHECKING

from batch.verify import verify_run
from ncf.api.figures import Figures
from ncf.api.filters import Given, filters_of
from ncf.api.options import Place
from ncf.api.runs import Run, bundle_folder
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
) -> Figures:
    """Check a bundle, or a run; with its bundle, a run's users and seen items too.

    Parameters
    ----------
    bundle : Bundle, str or Path, optional
        What :func:`ncf.export` made, or its folder.
    run : Run, str or Path, optional
        What :func:`ncf.batch` made, its folder or its URI.
    seen, users, exclude_items, candidates : optional
        What the run was given, if it was.

    Returns
    -------
    Figures
        What was checked, and the digest.

    Raises
    ------
    ArtifactError
        Something is missing, damaged or wrong; the message names it.
    ParityError
        The bundle's graphs disagree with each other.
    UsageError
        Neither is given, or the run was made with other files.

    Examples
    --------
    >>> ncf.verify(bundle)["golden_requests"]
    9
    >>> ncf.verify(bundle, run=run)["rows"]
    80
    """
    path = None if bundle is None else bundle_folder(bundle)
    if run is not None:
        place = run.table if isinstance(run, Run) else run
        with filters_of(seen, users, exclude_items, candidates) as filters:
            return Figures(verify_run(place, path, filters))
    if path is None:
        raise UsageError("give `bundle`, `run`, or both")
    from export.verify import verify_bundle  # onnx, which a run does without

    return Figures(verify_bundle(path))
