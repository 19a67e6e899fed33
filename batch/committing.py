"""Commit a plan: check every receipt and part, decide once for the whole table, and publish it.

The caller holds the lock of the place. Whenever a commit dies, the next one ends in the same run.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from batch.audience import Audience
from batch.audience_file import opened_bundle
from batch.carried import next_try
from batch.dates import baseline, is_backfill
from batch.examination import Examination, examine
from batch.gates import Gates
from batch.inputs import require_unchanged
from batch.judging import Candidate
from batch.manifest import RUN, RunManifest
from batch.memory import peak_memory
from batch.part_check import require_parts
from batch.places import Place
from batch.plans import Plan
from batch.pointer import point
from batch.recall_contract import Contract
from batch.recall_manifest import RecallProof
from batch.replacing import free_name, set_up
from batch.runs import NAME_LENGTH, SUCCESS_FILE, USERS_FILE, held_runs
from batch.setting_aside import is_held, set_aside, unfinished
from batch.tally import Tally, tally
from batch.tidying import tidy
from batch.user_digests import users_file
from ncf.artifacts import sealed_manifest
from ncf.files import sha256_bytes
from ncf.records import json_values

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What the one who made the parts has measured, if that is who commits.

    Parameters
    ----------
    reused : int
        Parts that were there already.
    elapsed : float or None
        Seconds from the plan to the last part; None if others made the parts.
    started : float or None
        Moment of :func:`time.monotonic` when the batch began.
    """

    reused: int = 0
    elapsed: float | None = None
    started: float | None = None


@dataclass(frozen=True)
class Commit:
    """How to commit.

    Parameters
    ----------
    place : Place
        Where the plan and its parts are.
    audience : callable
        Opens the audience of the plan.
    keep : int
        Number of runs to keep, with the new one; 0 keeps all.
    bundle : str, Path or None
        Folder of the bundle on this machine, if it is not that of the plan.
    gates : tuple of Gate
        What the run must pass to be published; none publishes it in any case.
    report : bool
        Whether to put a report for people into the run.
    """

    place: Place
    audience: Callable[[Plan], Audience]
    keep: int = 0
    bundle: str | Path | None = None
    gates: Gates = ()
    report: bool = False

    def __call__(self, plan: Plan, measured: Measured | None = None) -> Plan | None:
        """Publish the parts of a plan.

        Parameters
        ----------
        plan : Plan
            The plan.
        measured : Measured, optional
            What the one who made the parts has measured.

        Returns
        -------
        Plan or None
            The next try, if the recall was not proven, in place of this one; None if published.

        Raises
        ------
        ArtifactError
            A part or receipt is missing, torn, foreign or disagrees, or an input has changed; the
            message names it. ``LATEST`` is as it was.
        GateError
            The run failed a gate: it is whole, and set aside. ``LATEST`` is as it was.
        """
        place, before = self.place, self.place.runs.latest_or_none()
        if not (is_held(place, plan) or place.is_published(plan)):
            place.reopen(plan)
            total = tally(place, plan)
            contract, proof = self._contract(plan), None
            if contract is not None:
                if not contract.keeps(total.audited):
                    return self._next(plan, contract, total)
                proof = contract.proof(plan.rounds, total.audited)
            self._publish(plan, total, proof, measured or Measured())
        held = is_held(place, plan)
        if not held:
            self._point(plan)
        tidy(place, plan, before, self.keep)
        if held:
            place.remove(plan.run)  # in an object store, of one that died while it copied
            raise set_aside(place, plan.run)
        return None

    def _point(self, plan: Plan) -> None:
        runs = self.place.runs
        if is_backfill(runs, plan.run, plan.asked.parameters.date):
            text = "run %s is of an earlier date than run %s, which LATEST goes on naming"
            logger.info(text, plan.run, runs.latest_or_none())
        else:
            point(self.place, plan.run)

    def _contract(self, plan: Plan) -> Contract | None:
        if not plan.rounds or plan.asked.audit is None:
            return None
        asked = _Asked(plan.asked.parameters.k, plan.asked.audit.target)
        return Contract(asked, self.audience(plan), plan.asked.inputs)

    def _next(self, plan: Plan, contract: Contract, total: Tally) -> Plan:
        """Plan the next try, which looks further; or, at the end of all tries, ranks exactly."""
        logger.warning("the screen did not prove a recall of %s", contract.target)
        rounds = contract.after(plan.rounds, total.audited)
        if rounds is None:
            logger.warning("ranking exactly instead")
        earlier = (*plan.earlier, plan.run)
        further = next_try(
            plan,
            rounds=rounds or (),
            run=free_name(self.place, plan.run[:NAME_LENGTH], earlier),
            before=plan.folder if rounds else "",
            earlier=earlier,
        )
        set_up(self.place, further)
        self.place.retire(plan)
        if plan.before:
            self.place.drop(plan.before)
        return further

    def _publish(
        self, plan: Plan, total: Tally, proof: RecallProof | None, measured: Measured
    ) -> None:
        place = self.place
        place.close(plan)
        try:
            require_parts(place, plan, total)
            require_unchanged(plan, self.bundle)
            found = self._examined(plan, total)
            manifest = self._manifest(plan, total, proof, measured)
            others = found.files(plan.run, manifest)
            others[USERS_FILE] = users_file(self.audience(plan))
            files = {SUCCESS_FILE: sha256_bytes(b""), **total.digests}
            files |= {name: sha256_bytes(content) for name, content in others.items()}
            content, _ = sealed_manifest(RUN, json_values(manifest), dict(sorted(files.items())))
            place.publish(plan, {**others, RUN.manifest: content}, held=found.failed)
        except BaseException:
            place.reopen(plan)
            raise

    def _examined(self, plan: Plan, total: Tally) -> Examination:
        asked, runs = plan.asked, self.place.runs
        date = asked.parameters.date

        def candidate() -> Candidate:
            bundle = opened_bundle(plan, self.bundle)
            lists = unfinished(self.place, plan, total)
            return Candidate(plan.run, date, lists, plan.counts, asked.inputs, bundle)

        return examine(
            self.gates, candidate, lambda: baseline(runs, plan.run, date), report=self.report
        )

    def _manifest(
        self, plan: Plan, total: Tally, proof: RecallProof | None, measured: Measured
    ) -> RunManifest:
        runs, elapsed, decision = self.place.runs, measured.elapsed, plan.decision
        others = (
            each.sequence(name)
            for each in (runs, held_runs(runs))
            for name in each.names()
            if name != plan.run
        )
        seconds = {"read": plan.seconds, **total.seconds}
        if measured.started is not None:
            seconds["total"] = time.monotonic() - measured.started
        if decision.exact_seconds is not None and elapsed is not None:
            logger.info("it took %.2g s", elapsed)
            decision = replace(decision, took_seconds=round(elapsed, 3))
        speed = round(plan.users / elapsed, 1) if elapsed and not measured.reused else None
        return RunManifest(
            **vars(plan.identity),
            **vars(plan.counts),
            users=plan.users,
            users_by_policy=dict(total.users),
            rows=sum(total.rows.values()),
            rows_by_part=total.rows,
            parts_reused=measured.reused,
            users_per_second=speed,
            recall=proof,
            decision=decision,
            sequence=1 + max(others, default=0),
            plan=plan.id,
            seconds={phase: round(value, 3) for phase, value in seconds.items()},
            hosts=total.hosts(),
            peak_memory_bytes=max(peak_memory(), total.peak_memory_bytes),
            since=plan.since,
        )


@dataclass(frozen=True)
class _Asked:
    k: int
    recall: float
