"""``ncf diff`` compares two tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import ncf
from ncf.cli.options import AsJson, Runs
from ncf.cli.output import print_json, say, show_table

_OF_RUNS = (
    "users",
    "rows",
    "popular_share",
    "items",
    "coverage",
    "gini",
    "top_percent_share",
    "novelty",
    "score_mean",
    "score_deviation",
    "constant_lists",
)


def diff(
    a: Annotated[
        str | None, typer.Argument(metavar="[RUN_A]", help="Earlier run: name, folder or URI.")
    ] = None,
    b: Annotated[
        str | None, typer.Argument(metavar="[RUN_B]", help="Later run. [default: the newest]")
    ] = None,
    out: Runs = "topk",
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle that knows titles, catalogue and novelty.")
    ] = None,
    top: Annotated[int, typer.Option(help="Number of items and users to list.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Compare two tables, by default the two that were published last.

    Example: ncf diff --out topk --bundle model_store/ncf
    """
    found = ncf.diff(a, b, out=out, bundle=bundle, top=top)
    if as_json:
        print_json(found)
        return
    _show_runs(found)
    _show_users(found)
    for name in ("gained", "lost"):
        if found[name]:
            say(f"\nitems that {name} the most places in lists")
            show_table(
                ("item", "title", "a", "b", "change"), (each.values() for each in found[name])
            )
    if found["most_changed"]:
        say("\nmost changed users")
        rows = [each.values() for each in found["most_changed"]]
        show_table(("user", "overlap", "rank-biased", "policy a", "policy b"), rows)


def _show_runs(found: Mapping[str, Any]) -> None:
    a, b = found["a"], found["b"]
    say(f"a  {a['table']}\nb  {b['table']}\n")
    rows = [(_words(name), a[name], b[name], _change(a[name], b[name])) for name in _OF_RUNS]
    for policy, count in a["users_by_policy"].items():
        other = b["users_by_policy"][policy]
        rows.append((f"users by {policy}", count, other, other - count))
    show_table(("table", "a", "b", "change"), rows)


def _show_users(found: Mapping[str, Any]) -> None:
    say("")
    counts = found["changes"].items()
    show_table(("users", "count"), [(_words(name), count) for name, count in counts])
    names = ("overlap", "rank_biased_overlap")
    heads = list(found["overlap"])
    say(f"\nlists of the users in both, first {found['k']} places")
    show_table(("agreement", *heads), [(_words(name), *found[name].values()) for name in names])
    shift = found["score_shift"]
    if shift["pairs"]:
        say(
            f"\nscores of {shift['pairs']:,} pairs in both: {shift['mean']:+.4f} on average, "
            f"{shift['mean_absolute']:.4f} without the sign"
        )


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _words(name: str) -> str:
    return name.replace("_", " ")
