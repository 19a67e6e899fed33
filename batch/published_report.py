"""Write the report of a run that is there already."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from batch.diff import look_at
from batch.published_gates import run_before_it
from batch.reading import Published, checked, find_run, held, published
from batch.report import SAMPLED, TOP, Reported, report_of
from batch.runs import GATES_FILE
from batch.stores import storage_access
from ncf.errors import ArtifactError
from ncf.scoring.bundle import open_bundle


def report_published(run: str | Path, bundle: Path | None = None) -> bytes:
    """Write the report of a run, as the batch that made it would have.

    Parameters
    ----------
    run : str or Path
        Folder or URI of the run.
    bundle : Path, optional
        Its bundle, which knows titles, histories and the catalogue.

    Raises
    ------
    ArtifactError
        The run is damaged.
    """
    found = find_run(run, run)
    verdict = _verdict(found)
    last = _against(found, verdict)
    opened = None if bundle is None else open_bundle(bundle)
    with ExitStack() as stack:
        for each in (found, last):
            if each is not None:
                stack.enter_context(held(each))
        look = look_at(found.source, None if last is None else last.source, opened, TOP, SAMPLED)
    against = None if last is None else last.name
    return report_of(Reported(found.name, found.manifest, look, against, verdict))


def _verdict(run: Published) -> Mapping[str, Any] | None:
    """Read what the gates said; None if none were asked."""
    if GATES_FILE not in run.manifest.files:
        return None
    path = f"{run.place}/{GATES_FILE}"
    try:
        with storage_access(path), run.runs.system.open_input_stream(path) as stream:
            found: Mapping[str, Any] = json.loads(
                checked(stream, GATES_FILE, run.manifest.files[GATES_FILE])
            )
    except (ValueError, FileNotFoundError) as error:
        raise ArtifactError(
            f"the run is damaged ({error})", where=run.place, remedy="run the batch again"
        ) from error
    return found


def _against(run: Published, verdict: Mapping[str, Any] | None) -> Published | None:
    """Find the run to compare with: the one that the gates had, if it is still there."""
    named = None if verdict is None else verdict["against"]
    before = run_before_it(run)
    if named is None or before is None or named == before.name:
        return before
    return published(before.runs, named) if named in before.runs.names() else before
