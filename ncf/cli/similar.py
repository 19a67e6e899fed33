"""``ncf similar`` prints the items most similar to an item."""

from typing import Annotated

import typer

import ncf
from ncf.cli.options import AsCsv, AsJson, BundleFolder
from ncf.cli.output import print_csv, print_json, require_one_form, show_table


def similar(
    bundle: BundleFolder,
    item: Annotated[str, typer.Option(help="Raw item id.")],
    k: Annotated[int, typer.Option("-k", help="Largest number of items.")] = 10,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Print the items most similar to an item, by the cosine of their vectors in the model.

    Example: ncf similar --bundle model_store/ncf --item 50 -k 10
    """
    require_one_form(as_json=as_json, as_csv=as_csv)
    found = ncf.open_bundle(bundle).similar_items(item, k=k)
    given = found.astype(object).where(found.notna(), None)  # unknown titles
    rows = list(given.itertuples(index=False, name=None))
    if as_csv:
        print_csv(found.columns, rows)
        return
    if not as_json:
        show_table(("rank", "item", "title", "similarity"), rows)
        return
    named = ({"item": raw, "title": title, "similarity": cosine} for _, raw, title, cosine in rows)
    items = [{name: value for name, value in each.items() if value is not None} for each in named]
    print_json({"item": item, "items": items})
