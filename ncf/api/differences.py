"""Compare two tables before somebody else does."""

from typing import TYPE_CHECKING

from batch.diff import compare_runs
from batch.pointer import newest_two
from batch.reading import find_run, held
from ncf.api.figures import Figures
from ncf.api.jobs import bundle_folder, out_given
from ncf.api.options import Place
from ncf.api.runs import Run
from ncf.errors import UsageError
from ncf.scoring.bundle import open_bundle

if TYPE_CHECKING:
    import pandas as pd

    from ncf.api.bundles import Bundle


class Diff(Figures):
    """What changed from a run ``a`` to a run ``b``.

    Parameters
    ----------
    values : mapping
        ``a`` and ``b`` (figures of each table), ``changes`` (counts of users), ``overlap``,
        ``rank_biased_overlap`` (mean and quantiles), ``score_shift``, ``gained``, ``lost``
        (items), ``most_changed`` (users).

    Examples
    --------
    >>> diff = ncf.diff(run, run)
    >>> diff["changes"]["same_list"], diff["overlap"]["p01"]
    (40, 1.0)
    >>> diff.changed_users().columns.tolist()
    ['user', 'overlap', 'rank_biased_overlap', 'policy_a', 'policy_b']
    """

    def __repr__(self) -> str:
        a, b, changes = self["a"], self["b"], self["changes"]
        return (
            f"Diff({a['run']!r}, {b['run']!r}: {changes['kept']:,} users kept, "
            f"{changes['added']:,} added, {changes['gone']:,} gone)"
        )

    def movers(self) -> "pd.DataFrame":
        """Make a frame of the items that gained or lost the most places, by change."""
        import pandas as pd  # loaded only for a frame

        columns = ["item", "title", "places_a", "places_b", "change"]
        rows = [*self["gained"], *self["lost"][::-1]]
        return pd.DataFrame(rows, columns=columns)

    def changed_users(self) -> "pd.DataFrame":
        """Make a frame of the users whose lists changed most, these first."""
        import pandas as pd  # loaded only for a frame

        columns = ["user", "overlap", "rank_biased_overlap", "policy_a", "policy_b"]
        return pd.DataFrame(self["most_changed"], columns=columns)


def diff(
    a: Run | Place | None = None,
    b: Run | Place | None = None,
    *,
    out: Place = "topk",
    bundle: "Bundle | Place | None" = None,
    top: int = 10,
) -> Diff:
    """Compare two tables: who gets a list, how much lists changed, and which items moved.

    Every part is read once and checked. Memory does not grow with the number of users; the lists
    lie in the folder of temporary files meanwhile.

    Parameters
    ----------
    a, b : Run, str or Path, optional
        The earlier and the later run: a name in ``out``, a folder, or a URI; a folder of runs
        stands for its newest. Without ``b``, the newest run of ``out``; without both, the one
        that ``LATEST`` named before, and the one that it names.
    out : str or Path
        Folder of all runs, or a URI such as ``s3://bucket/topk``.
    bundle : Bundle, str or Path, optional
        Knows titles, the size of the catalogue, and how many users have seen an item. Without
        it there is no novelty, and the catalogue is the items that either run lists.
    top : int
        Number of items that gained and lost, and of users, to list.

    Raises
    ------
    ArtifactError
        A run is missing or damaged; the message names it.
    UsageError
        ``top`` is negative.
    StorageError
        The folder of temporary files is full.

    Examples
    --------
    >>> found = ncf.diff(run, run, bundle=bundle)
    >>> print(found)  # doctest: +ELLIPSIS
    Diff(...: 40 users kept, 0 added, 0 gone)
    >>> found["rank_biased_overlap"]["mean"], len(found.movers())
    (1.0, 0)
    """
    if top < 0:
        raise UsageError(f"`top` {top} is less than 0")
    out_given(out)
    if a is None and b is None:
        first, second = newest_two(out)
    else:
        first = find_run(out if a is None else _place(a), out)
        second = find_run(out if b is None else _place(b), out)
    opened = None if bundle is None else open_bundle(bundle_folder(bundle))
    with held(first), held(second):
        found = compare_runs(first.source, second.source, opened, top)
    for side, run in (("a", first), ("b", second)):
        found[side] = {"run": run.name, "table": run.address, **found[side]}
    return Diff(found)


def _place(run: Run | Place) -> Place:
    return run.table if isinstance(run, Run) else run
