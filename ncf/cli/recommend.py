"""``ncf recommend`` prints a user's history and top-K list."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ncf
from ncf.cli.options import AsCsv, AsJson, BundleFolder, Length
from ncf.cli.output import print_csv, print_json, require_one_form, say, show_table
from ncf.columns import Columns
from ncf.errors import UsageError

if TYPE_CHECKING:
    from ncf.scoring.queries import Recommendation


def recommend(
    bundle: BundleFolder,
    user: Annotated[str, typer.Option(help="Raw user id.")] = "",
    k: Length = 10,
    history: Annotated[
        str | None,
        typer.Option(
            help="Items taken since the export: a file with a column item_id, or ids and commas.",
            metavar="FILE|IDS",
        ),
    ] = None,
    shown: Annotated[int, typer.Option(min=0, help="Largest number of seen items to show.")] = 10,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print a user's history and top-K list; for a stranger, by the history given, or popular.

    Example: ncf recommend --bundle model_store/ncf --user 196 -k 10

    Example: ncf recommend --bundle model_store/ncf --history 50,181,258
    """
    require_one_form(as_json=as_json, as_csv=as_csv)
    if not user and history is None:
        raise UsageError("neither `user` nor `history` is given", remedy="give one or both")
    opened = ncf.open_bundle(bundle)
    found = opened.recommendation(user, k=k, history=None if history is None else _ids(history))
    if as_json:
        print_json(_described(found))
        return
    rows = [(rank, *item) for rank, item in enumerate(found.items, 1)]
    if as_csv:
        names = (Columns.USER_ID, Columns.RANK, Columns.ITEM_ID, Columns.TITLE, Columns.SCORE)
        print_csv((*names, Columns.POLICY), ((user, *row, found.policy.value) for row in rows))
        return
    if user:
        _show_seen(opened, user, shown)
    if use := found.history:
        unknown = f", {use.unknown} are unknown" if use.unknown else ""
        moved = "; the user's row moved along with them" if use.refreshed else ""
        say(f"{use.known} known items in the history given{unknown}{moved}")
    say(f"top {len(found.items)} ({found.policy.value})")
    show_table(("rank", "item", "title", "score"), rows)


def _ids(given: str) -> list[str]:
    path = Path(given)
    try:
        is_file = bool(given) and path.exists()  # an empty name would be the current folder
    except OSError:  # too long for a name
        is_file = False
    if is_file:
        from ncf.data.id_files import read_ids  # needs Arrow, which --help does not

        return [str(each) for each in read_ids(path, Columns.ITEM_ID).to_pylist()]
    return [each.strip() for each in given.split(",") if each.strip()]


def _described(found: "Recommendation") -> dict[str, object]:
    items = [
        {name: value for name, value in item._asdict().items() if value is not None}
        for item in found.items
    ]
    who = {"user": found.user} if found.user else {}
    described: dict[str, object] = {**who, "policy": found.policy.value, "items": items}
    if use := found.history:
        counts = {"known": use.known, "unknown": use.unknown}
        described |= {"history": counts, "refreshed": use.refreshed}
    return described


def _show_seen(opened: "ncf.Bundle", user: str, shown: int) -> None:
    seen = opened.history(user)
    if seen.empty:
        say(f"user {user!r} is unknown to the model")
        return
    few = f", {shown} of them" if len(seen) > shown else ""
    say(f"{len(seen)} known interactions of user {user}{few}")
    show_table(("item", "title"), seen.head(shown).itertuples(index=False))
