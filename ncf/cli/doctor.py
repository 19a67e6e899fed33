"""``ncf doctor`` reports what this machine can and cannot do."""

from dataclasses import asdict

import typer

from ncf.cli.options import AsJson
from ncf.cli.output import print_json, say


def doctor(as_json: AsJson = False) -> None:
    """Report what this machine can and cannot do, with remedies.

    Example: ncf doctor
    """
    from ncf.doctor import examine

    findings = examine()
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else ("no  " if finding.optional else "FAIL")
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            say(f"{mark} {finding.subject}: {finding.detail}{remedy}")
    if any(not finding.ok and not finding.optional for finding in findings):
        raise typer.Exit(1)
