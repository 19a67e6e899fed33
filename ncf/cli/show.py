"""``ncf batch show`` prints a user's rows of the newest table."""

from typing import Annotated

import typer

from ncf.cli.options import AsCsv, AsJson, Runs
from ncf.cli.output import print_csv, print_json, require_one_form, say, show_table
from ncf.errors import UsageError


def show(
    user: Annotated[str, typer.Option(help="Raw user id.")],
    out: Runs = "topk",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print a user's rows of the newest table.

    Example: ncf batch show --out topk --user 196
    """
    from pandas import isna

    from batch.show import rows_of
    from ncf.columns import Columns

    require_one_form(as_json=as_json, as_csv=as_csv)
    run, rows = rows_of(out, user)
    if rows.empty:
        raise UsageError(
            f"user {user!r} has no row in run {run}", where=out, remedy="check the id and the run"
        )
    policy = rows[Columns.POLICY].iloc[0]
    scores = [None if isna(score) else float(score) for score in rows[Columns.SCORE]]
    items = list(zip(rows[Columns.RANK].tolist(), rows[Columns.ITEM_ID], scores, strict=True))
    if as_json:
        named = [dict(zip(("rank", "item", "score"), each, strict=True)) for each in items]
        print_json({"run": run, "user": user, "policy": policy, "items": named})
        return
    if as_csv:
        names = (Columns.USER_ID, Columns.RANK, Columns.ITEM_ID, Columns.SCORE, Columns.POLICY)
        print_csv(names, ((user, *each, policy) for each in items))
        return
    say(f"user {user} in run {run} ({policy})")
    show_table(("rank", "item", "score"), items)
