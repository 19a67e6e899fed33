"""Find one user's rows of the newest table."""

from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from batch.reading import checked
from batch.runs import open_runs
from batch.stores import storage_access
from batch.tables import long_frame, read_table
from ncf.columns import Columns
from ncf.errors import ArtifactError


def rows_of(place: str | Path, user: str) -> tuple[str, pd.DataFrame]:
    """Find a user in the newest run; each part's digest is checked before it is read.

    Parameters
    ----------
    place : str or Path
        The ``--out`` that ``ncf batch`` was given.
    user : str
        Raw id of the user.

    Returns
    -------
    run : str
        Name of the run.
    rows : DataFrame
        Rows of the long table, by rank; none if the user is not in it.

    Raises
    ------
    ArtifactError
        No run was published here, or a part is damaged; the message names it.
    """
    runs = open_runs(place)
    with runs.newest() as name, storage_access(runs.root):
        manifest = runs.manifest(name)
        found = []
        try:
            style = manifest.parameters.style
            for part in sorted(manifest.rows_by_part):
                path = f"{runs.root}/{name}/{part}"
                with runs.system.open_input_stream(path) as stream:
                    content = checked(stream, part, manifest.files[part])
                table = read_table(BytesIO(content), style)
                found.append(table.filter(pc.equal(table[Columns.USER_ID], user)))
        except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
            raise ArtifactError(
                f"run {name} is damaged ({error})", where=runs.root, remedy="run the batch again"
            ) from error
    rows = long_frame(pa.concat_tables(found), style)
    return name, rows.sort_values(Columns.RANK, ignore_index=True)
