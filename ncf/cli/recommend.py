"""``ncf recommend`` prints a user's history and top-K list."""

from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsCsv, AsJson, BundleFolder, Length
from ncf.cli.output import print_csv, print_json, require_one_form, say, show_table
from ncf.columns import Columns


def recommend(
    bundle: BundleFolder,
    user: Annotated[str, typer.Option(help="Raw user id.")],
    k: Length = 10,
    history: Annotated[int, typer.Option(min=0, help="Largest number of seen items to show.")] = 10,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print a user's history and top-K list, or the popular items for a stranger.

    Example: ncf recommend --bundle model_store/ncf --user 196 -k 10
    """
    require_one_form(as_json=as_json, as_csv=as_csv)
    opened = ncf.open_bundle(bundle)
    found = opened.recommendation(user, k=k)
    if as_json:
        items = [
            {name: value for name, value in item._asdict().items() if value is not None}
            for item in found.items
        ]
        print_json({"user": user, "policy": found.policy.value, "items": items})
        return
    rows = [(rank, *item) for rank, item in enumerate(found.items, 1)]
    if as_csv:
        names = (Columns.USER_ID, Columns.RANK, Columns.ITEM_ID, Columns.TITLE, Columns.SCORE)
        print_csv((*names, Columns.POLICY), ((user, *row, found.policy.value) for row in rows))
        return
    seen = opened.history(user)
    if seen.empty:
        say(f"user {user!r} is unknown to the model: the most popular items")
    else:
        shown = f", {history} of them" if len(seen) > history else ""
        say(f"{len(seen)} known interactions of user {user}{shown}")
        show_table(("item", "title"), seen.head(history).itertuples(index=False))
    say(f"top {len(found.items)} ({found.policy.value})")
    show_table(("rank", "item", "title", "score"), rows)
