"""Write what people look at before they trust a table: ``_report.html``, in the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batch.diff import Look
from batch.manifest import RunManifest
from batch.report_changes import changes
from batch.report_users import sampled, users
from ncf.pages.html import Html, shown, table, tag
from ncf.pages.page import page, section, tiles
from ncf.pages.plots import bars

TOP, SAMPLED = 15, 300
"""Movers and most changed users that are listed; users whose lists can be searched."""


@dataclass(frozen=True)
class Reported:
    """What a report is of.

    Parameters
    ----------
    run : str
        Name of the run.
    manifest : RunManifest
        Its manifest.
    look : Look
        What was found out about its lists.
    against : str or None
        Name of the earlier run that it was compared with.
    verdict : mapping or None
        The document of the gates; None if none were asked.
    """

    run: str
    manifest: RunManifest
    look: Look
    against: str | None = None
    verdict: Mapping[str, Any] | None = None

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """The gates that failed."""
        gates = [] if self.verdict is None else self.verdict["gates"]
        return [gate for gate in gates if not gate["passed"]]


def report_of(found: Reported) -> bytes:
    """Write the page of a run: verdict, changes, proof, seconds, and a sample of users."""
    title = f"Table of {found.manifest.parameters.date or found.run}"
    own = found.look.figures()[-1]
    return page(
        title,
        [
            _head(title, found),
            tiles(_first(found, own)),
            _gates(found),
            *changes(found.look),
            users(),
            tag("div", _proof(found.manifest), _machine(found.manifest), class_="two"),
            _inputs(found.manifest),
        ],
        sampled(found.look),
    )


def _head(title: str, found: Reported) -> Html:
    if found.verdict is None:
        badge, said = tag("span", "no gates", class_="badge"), "Published without gates"
    elif found.failed:
        badge = tag("span", "set aside", class_="badge bad")
        said = f"{len(found.failed)} of {len(found.verdict['gates'])} gates failed"
    else:
        badge = tag("span", "passed", class_="badge good")
        said = f"All {len(found.verdict['gates'])} gates passed"
    compared = f", compared with run {found.against}" if found.against else ", nothing before it"
    line = tag("p", badge, f"{said}. Run {found.run}{compared}.")
    return tag("header", tag("h1", title), line)


def _first(found: Reported, own: Mapping[str, Any]) -> dict[str, str]:
    figures = {
        "users": shown(own["users"]),
        "rows": shown(own["rows"]),
        "of the catalogue is listed": f"{own['coverage']:.1%}",
        "of users get the popular list": f"{own['popular_share']:.1%}",
    }
    if found.look.matching is not None:
        overlap = found.look.matching.overlap.figures()["mean"]
        figures["mean overlap with the run before"] = "" if overlap is None else f"{overlap:.1%}"
    if (total := found.manifest.seconds.get("total")) is not None:
        figures["seconds"] = shown(total)
    return figures


def _gates(found: Reported) -> Html:
    if found.verdict is None:
        return section("Gates", tag("p", "No gates were asked; 'ncf init gates' prints some."))
    rows = []
    for each in sorted(found.verdict["gates"], key=lambda each: each["passed"]):
        passed = each["passed"]
        mark = tag("span", "passed" if passed else "failed", class_="good" if passed else "bad")
        figure = tag("code", f"{each['section']} {each['figure']}")
        rows.append((mark, figure, *(shown(each[name]) for name in ("value", "least", "most"))))
    return section("Gates", table(["", "figure", "value", "min", "max"], rows))


def _proof(manifest: RunManifest) -> Html:
    decision, proof = manifest.decision, manifest.recall
    why = "" if decision is None else f" ({decision.reason})"
    if proof is None:
        text = f"Every user was ranked exactly{why}: no item can be missing."
        return section("Recall", tag("p", text))
    rows = [
        ("proven, at least", f"{proof.lower_bound:.5f}"),
        ("asked for", shown(proof.target)),
        ("estimate", f"{proof.estimate:.5f}"),
        ("confidence", f"{proof.confidence:.0%}"),
        ("pairs drawn", shown(round(proof.drawn))),
        ("of them missed", shown(proof.missed)),
        ("candidates scored for a user", shown(proof.candidates)),
        ("rounds", shown(proof.number)),
    ]
    text = f"Lists were screened{why}. Random pairs, scored exactly, prove what share is there."
    return section("Recall", tag("p", text), table(["", ""], rows))


def _machine(manifest: RunManifest) -> Html:
    phases = {name: each for name, each in sorted(manifest.seconds.items()) if name != "total"}
    rows = [
        (name, share.parts, share.instruction_set, shown(share.peak_memory_bytes >> 20))
        for name, share in (manifest.hosts or {}).items()
    ]
    hosts = table(["host", "parts", "processor", "MiB"], rows) if rows else None
    note = tag("p", "Summed over threads and machines.", class_="faint")
    return section("Seconds", bars("seconds by phase", phases, " s"), note, hosts)


def _inputs(manifest: RunManifest) -> Html:
    rows = [(name, tag("code", digest)) for name, digest in sorted(manifest.inputs.items())]
    versions = ", ".join(f"{name} {getattr(manifest, name)}" for name in ("ncf", "onnxruntime"))
    asked = manifest.parameters
    line = f"K = {asked.k}, {manifest.mode.value} on {manifest.device}; {versions}."
    return section("Inputs", tag("p", line), table(["input", "SHA-256"], rows))
