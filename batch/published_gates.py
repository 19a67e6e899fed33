"""Judge a run that is published, or set aside."""

from pathlib import Path

from batch.dates import baseline
from batch.gates import Gates
from batch.judging import Candidate, judge
from batch.pointer import run_before
from batch.reading import Published, find_run, held, published
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
    manifest, opened = found.manifest, open_bundle(bundle)
    date = manifest.parameters.date
    candidate = Candidate(found.name, date, found.source, manifest, manifest.inputs, opened)
    with held(found):
        verdict = judge(gates, candidate, run_before_it(found))
    if verdict.failures:
        raise failed(found.place, dict(verdict.document))
    return len(verdict.document["gates"])


def run_before_it(run: Published) -> Published | None:
    """Find the run to compare with."""
    runs = run.runs
    if runs.root.endswith(f"/{HELD}"):
        runs = runs_above(runs)
    last = baseline(runs, run.name, run.manifest.parameters.date)
    if last is None or last.name != run.name:
        return last
    before = run_before(runs)
    return None if before is None else published(runs, before)
