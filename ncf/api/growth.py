"""Add the items of today to an exported model, without training."""

from functools import partial
from typing import TYPE_CHECKING

from ncf.api.bundles import Bundle
from ncf.api.figures import Figures
from ncf.api.filters import Given, pairs_file
from ncf.api.jobs import bundle_folder
from ncf.api.options import Place, folder
from ncf.api.tables import read_given_titles
from ncf.extras import needed_by
from ncf.scoring.bundle import open_bundle as open_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pyarrow as pa


def add_items(
    bundle: "Bundle | Place",
    new_items: Given,
    *,
    titles: "Place | pd.DataFrame | pa.Table | Mapping[str, str] | None" = None,
    out: Place = "model_store",
    name: str = "ncf",
    version: str = "1.0",
) -> Bundle:
    """Export a bundle again with new items; it needs neither the model nor PyTorch.

    The vector of a new item is made from the rows of the users who took it, by a map that the
    first export fitted on the items it knew. One taker is enough; few make a cautious vector.

    Parameters
    ----------
    bundle : Bundle, str or Path
        Bundle from :func:`ncf.export`, or its folder.
    new_items : file or frame
        Interactions of the new items. Those of known items, and of users whom the model does not
        know, have no effect.
    titles : str, Path, DataFrame, pyarrow.Table or mapping, optional
        Titles of the new items.
    out, name, version
        As for :func:`ncf.export`; the old bundle may be replaced.

    Raises
    ------
    ArtifactError
        The bundle is damaged, or has no map of items.
    RatingsError
        The file cannot be read.
    UsageError
        No new item is left, or the name or version is malformed.
    ParityError
        A graph differs; nothing is published.

    Examples
    --------
    >>> import pandas as pd
    >>> today = pd.DataFrame({"user_id": ["u0", "u2"], "item_id": ["film 99", "film 99"]})
    >>> more = ncf.add_items(bundle, today, titles={"film 99": "Premiere"}, name="today")
    >>> more, more.exported["new_pairs"]
    (Bundle('model_store/today': gmf, 40 users, 31 items), 2)
    """
    with needed_by("ncf.add_items"):
        from export.growth import read_growth, write_grown
        from export.swap import publish_folder

    store, opened = folder(out, "out"), open_folder(bundle_folder(bundle))
    with pairs_file(new_items, "new_items") as path:
        growth = read_growth(opened, path, read_given_titles(titles, keep_spaces=False))
    found = publish_folder(partial(write_grown, growth, name=name), store, name, version)
    places = {"bundle": str(store / name), "archive": str(store / f"{name}.mar")}
    return Bundle(open_folder(store / name), Figures({**places, **found}))
