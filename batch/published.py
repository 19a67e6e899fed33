"""Read a run, or the newest run of a place, as one frame."""

from pathlib import Path

import pandas as pd

from batch.addresses import within
from batch.manifest import RUN
from batch.runs import TRIES, local_copy, open_runs
from batch.tables import read_part
from ncf.artifacts import open_sealed
from ncf.errors import ArtifactError


def read_run(folder: Path) -> pd.DataFrame:
    """Read a run: columns of the long table, rows by user and rank.

    Raises
    ------
    ArtifactError
        The run is damaged.
    """
    style = open_sealed(folder, RUN).parameters.style
    parts = sorted(folder.glob(style.parts), key=lambda part: (len(part.name), part.name))
    return pd.concat([read_part(part, style) for part in parts])


def read_latest(place: str | Path) -> pd.DataFrame:
    """Read the newest complete run: ``user_id``, ``rank``, ``item_id``, ``score``, ``policy``.

    Parameters
    ----------
    place : str or Path
        The ``--out`` that ``ncf batch`` was given.

    Raises
    ------
    ArtifactError
        No run was published here, or a part is damaged.
    """
    runs = open_runs(place)
    for _ in range(TRIES):
        with runs.newest() as name:
            whole = str(runs.folder / name) if runs.folder else within(str(place), name)
            try:
                with local_copy(whole) as folder:
                    return read_run(folder).reset_index(drop=True)
            except ArtifactError:
                if runs.latest() == name:
                    raise  # else it was replaced and removed meanwhile, as objects have no locks
    raise ArtifactError(
        "the run is replaced faster than it can be read", where=place, remedy="try again"
    )
