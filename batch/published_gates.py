"""Judge a run that is published, or set aside."""

from pathlib import Path

from batch.gates import Gates
from batch.judging import Candidate, judge
from batch.pointer import run_before
from batch.reading import Published, find_run, held, newest, published
from batch.runs import HELD, runs_above
from batch.setting_aside import failed
from ncf.scoring.bundle import open_bundle


def judge_published(run: str | Path, bundle: Path, gates: Gates) -> int:
    """Judge a run by gates, and count them.

    Parameters
    ----------
    run : str or Path
        Folder or URI of the run.
    bundle : Path
        Its bundle.
    gates : tuple of Gate
        The limits.

    Raises
    ------
    GateError
        It fails one.
    ArtifactError
        It, or the run to compare with, is damaged.
    """
    found = find_run(run, run)
    parameters = found.manifest
    candidate = Candidate(
        found.name, found.source, parameters, parameters.inputs, open_bundle(bundle)
    )
    with held(found):
        verdict = judge(gates, candidate, _last(found))
    if verdict.failures:
        raise failed(found.place, dict(verdict.document))
    return len(verdict.document["gates"])


def _last(run: Published) -> Published | None:
    """Find the run to compare with."""
    runs = run.runs
    if runs.root.endswith(f"/{HELD}"):
        runs = runs_above(runs)
    last = newest(runs)
    if last is None or last.name != run.name:
        return last
    before = run_before(runs)
    return None if before is None else published(runs, before)
