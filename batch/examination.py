"""Examine a run before it appears: by its gates, and for its report."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from batch.diff import Look
from batch.gates import TABLE, Gates
from batch.judging import Candidate, Verdict, judge, look_of
from batch.manifest import RunManifest
from batch.reading import Published
from batch.report import SAMPLED, TOP, Reported, report_of
from batch.runs import GATES_FILE, REPORT_FILE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examination:
    """What was found out about a run.

    Parameters
    ----------
    verdict : Verdict or None
        What the gates say; None if none were asked.
    look : Look or None
        What the report shows; None if none is wanted, or reading for it failed.
    against : str or None
        Name of the run that it was compared with.
    """

    verdict: Verdict | None = None
    look: Look | None = None
    against: str | None = None

    @property
    def failed(self) -> bool:
        """Whether a gate failed."""
        return self.verdict is not None and bool(self.verdict.failures)

    def files(self, run: str, manifest: RunManifest) -> dict[str, bytes]:
        """Write verdict and report, as far as they are wanted; no report is worth a night."""
        files = {} if self.verdict is None else {GATES_FILE: self.verdict.content()}
        if self.look is None:
            return files
        document = None if self.verdict is None else self.verdict.document
        reported = Reported(run, manifest, self.look, self.against, document)
        try:
            return {**files, REPORT_FILE: report_of(reported)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the table is sound
            _warn(error)
            return files


def examine(
    gates: Gates,
    candidate: Callable[[], Candidate],
    last: Callable[[], Published | None],
    *,
    report: bool,
) -> Examination:
    """Examine a run.

    Parameters
    ----------
    gates : tuple of Gate
        What it must pass.
    candidate, last : callable
        Give the run, and the one to compare it with; called only if they are needed.
    report : bool
        Whether a report is wanted.

    Raises
    ------
    ArtifactError
        A part that gates need is damaged. What a report alone needs is a warning.
    """
    relative = any(gate.section != TABLE for gate in gates)
    if report:
        try:
            found, before = candidate(), last()
            look = look_of(found, before, TOP, SAMPLED)
            verdict = judge(gates, found, before, look) if gates else None
            return Examination(verdict, look, None if before is None else before.name)
        except Exception as error:
            if relative:
                raise
            _warn(error)
    if not gates:
        return Examination()
    return Examination(judge(gates, candidate(), last() if relative else None))


def _warn(error: Exception) -> None:
    text = " ".join(str(error).split()) or type(error).__name__
    logger.warning("there is no report of this run, which changes nothing else: %s", text)
