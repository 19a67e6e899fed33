"""``ncf recommend``, ``verify``, ``doctor``: what a bundle answers, and the machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncf.cli.output import AsJson, Length, print_json, say, show
from ncf.errors import UsageError

BundleFolder = Annotated[Path, typer.Option(help="Folder that 'ncf export' made.")]
FilterFile = Annotated[Path | None, typer.Option(help="What the run was given, if it was.")]


def recommend(
    bundle: BundleFolder,
    user: Annotated[str, typer.Option(help="Raw user id.")],
    k: Length = 10,
    history: Annotated[int, typer.Option(min=0, help="Known items shown at most.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Print a user's history and top-K; the popular items for an unknown user.

    Example: ncf recommend --bundle model_store/ncf --user 196 -k 10
    """
    from ncf.scoring.bundle import open_bundle
    from ncf.scoring.exact import ExactRanker
    from ncf.scoring.queries import Wishes
    from ncf.scoring.recommend import Recommender

    opened = open_bundle(bundle)
    recommender = Recommender(opened, ExactRanker.open(opened))
    found = recommender.recommend(user, Wishes(k))
    known = recommender.history(user)
    if as_json:
        items = [
            {name: value for name, value in asdict(item).items() if value is not None}
            for item in found.items
        ]
        print_json({"user": user, "policy": found.policy.value, "items": items})
        return
    if not known:
        say(f"user {user!r} is unknown to the model: the most popular items")
    else:
        shown = f", {history} of them" if len(known) > history else ""
        say(f"{len(known)} known interactions of user {user}{shown}")
        table = Table("item", "title")
        for item in known[:history]:
            table.add_row(Text(item.item), Text(item.title or ""))
        Console().print(table)
    say(f"top {len(found.items)} ({found.policy.value})")
    table = Table("rank", "item", "title", "score")
    for rank, item in enumerate(found.items, 1):
        score = "" if item.score is None else f"{item.score:.4f}"
        table.add_row(str(rank), Text(item.item), Text(item.title or ""), score)
    Console().print(table)


def verify(
    bundle: Annotated[Path | None, typer.Option(help="Folder that 'ncf export' made.")] = None,
    run: Annotated[str | None, typer.Option(help="Folder or URI of a run.")] = None,
    seen: FilterFile = None,
    users: FilterFile = None,
    exclude_items: FilterFile = None,
    candidates: FilterFile = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle, or a run (with its bundle: users and seen items too).

    Example: ncf verify --bundle model_store/ncf
    """
    from batch.filters import Filters
    from batch.verify import verify_run
    from export.verify import verify_bundle

    if run is None and bundle is None:
        raise UsageError("give --bundle, --run, or both")
    if run is not None:
        filters = Filters(seen, users, exclude_items, candidates)
        show(verify_run(run, bundle, filters), as_json=as_json)
    elif bundle is not None:
        show(verify_bundle(bundle), as_json=as_json)


def doctor(as_json: AsJson = False) -> None:
    """Tell what this machine can and cannot do, and the remedy.

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
