"""Judge a run by gates: its own figures, and what changed since the run that LATEST names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.dates import same_night
from batch.diff import Look, look_at
from batch.gates import CHANGE, RATIO, TABLE, Gates, flat
from batch.manifest import FileCounts
from batch.reading import Published, Source, held
from ncf.artifacts import canonical_json
from ncf.scoring.bundle import Bundle


@dataclass(frozen=True)
class Candidate:
    """A run to be judged.

    Parameters
    ----------
    run : str
        Its name.
    date : str or None
        Its logical date, if it was given one.
    source : Source
        Its lists.
    counts : FileCounts
        Counts of ids in its files.
    inputs : mapping
        SHA-256 of its inputs.
    bundle : Bundle
        Its bundle.
    """

    run: str
    date: str | None
    source: Source
    counts: FileCounts
    inputs: Mapping[str, str]
    bundle: Bundle


@dataclass(frozen=True)
class Verdict:
    """What the gates say.

    Parameters
    ----------
    document : mapping
        ``passed``, ``against`` (name of the run it was compared with), ``gates``, ``figures``.
    failures : tuple of str
        A line for each gate that failed.
    """

    document: Mapping[str, Any]
    failures: tuple[str, ...]

    def content(self) -> bytes:
        """Write the document."""
        return canonical_json(self.document)


def look_of(candidate: Candidate, last: Published | None, top: int = 0, sampled: int = 0) -> Look:
    """Read a candidate, and the run to compare it with.

    Raises
    ------
    ArtifactError
        A part of either run is damaged.
    """
    if last is None:
        return look_at(candidate.source, None, candidate.bundle, top, sampled)
    with held(last):
        return look_at(candidate.source, last.source, candidate.bundle, top, sampled)


def judge(
    gates: Gates, candidate: Candidate, last: Published | None, look: Look | None = None
) -> Verdict:
    """Judge a run.

    Parameters
    ----------
    gates : tuple of Gate
        The limits.
    candidate : Candidate
        The run.
    last : Published or None
        The run that ``LATEST`` names; without one, only limits on the table itself apply.
    look : Look, optional
        What :func:`look_of` has found, if it was asked for already.

    Raises
    ------
    ArtifactError
        A part of either run is damaged.
    """
    relative = last is not None and any(gate.section != TABLE for gate in gates)
    look = look or look_of(candidate, last if relative else None)
    figures = _figures(candidate, last, look)
    applied = [gate for gate in gates if gate.section == TABLE or last is not None]
    found, failures = [], []
    for gate in applied:
        value = figures[gate.section].get(gate.figure)
        passed = gate.passes(value)
        failures += [] if passed else [gate.said(value)]
        found.append({**vars(gate), "value": value, "passed": passed})
    document = {
        "passed": not failures,
        "against": None if last is None else last.name,
        "gates": found,
        "figures": figures,
    }
    return Verdict(document, tuple(failures))


def _figures(candidate: Candidate, last: Published | None, look: Look) -> dict[str, dict[str, Any]]:
    tables = look.figures()
    table = _with_counts(tables[-1], candidate.counts)
    if last is None or look.matching is None:
        return {TABLE: table}
    found: dict[str, Any] = look.matching.figures()
    before = _with_counts(tables[0], last.manifest)
    ratio = {name: _ratio(table[name], before.get(name)) for name in table}
    changes = found["changes"]
    users = {"added_share": (changes["added"], table["users"])}
    users |= {"gone_share": (changes["gone"], before["users"])}
    users |= {"to_popular_share": (changes["to_popular"], changes["kept"])}
    shares = {name: count / of if of else 0.0 for name, (count, of) in users.items()}
    seen, old = candidate.inputs.get("seen"), last.manifest.inputs.get("seen")
    # A second run of one night takes the same file, and rightly so.
    other_night = not same_night(last, candidate.run, candidate.date)
    shares["same_seen"] = float(seen is not None and seen == old and other_night)
    return {TABLE: table, RATIO: ratio, CHANGE: {**flat(found), **shares}}


def _with_counts(figures: Mapping[str, Any], counts: FileCounts) -> dict[str, Any]:
    users, rows = figures["users"], counts.seen_rows
    strangers, cold = counts.unknown_users, counts.cold_users or 0
    unknown = counts.seen_rows_of_unknown_items
    return {
        **flat(figures),
        "unknown_users": strangers,
        "cold_users": cold,
        "cold_share": (strangers + cold) / users if users else 0.0,
        "seen_rows": rows,
        "seen_unknown_share": None if rows is None else (unknown or 0) / max(1, rows),
    }


def _ratio(value: float | None, before: float | None) -> float | None:
    if value is None or before is None:
        return None
    if before == 0:
        return 1.0 if value == 0 else None
    return value / before
