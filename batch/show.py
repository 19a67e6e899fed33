"""One user's rows of the newest table."""

from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import csv, dataset

from batch.options import TableFormat
from batch.runs import Runs, open_runs, storage_access, style_of
from batch.tables import SCHEMAS, Style, long_frame
from ncf.columns import Columns
from ncf.errors import ArtifactError


def rows_of(place: str | Path, user: str) -> tuple[str, pd.DataFrame]:
    """Find a user in the newest run.

    Parameters
    ----------
    place : str or Path
        What ``ncf batch --out`` was given.
    user : str
        Raw id.

    Returns
    -------
    run : str
        Name of the run.
    rows : DataFrame
        Of the long table, by rank; none where the user is not in it.

    Raises
    ------
    ArtifactError
        Nothing was published here, or a part is damaged.
    """
    runs = open_runs(place)
    with runs.newest() as name, storage_access(runs.root):
        manifest = runs.manifest(name)
        try:
            style, parts = style_of(manifest), sorted(manifest["rows_by_part"])
            table = _parts(runs, name, parts, style).to_table(
                filter=dataset.field(Columns.USER_ID) == user
            )
        except (KeyError, ValueError, FileNotFoundError) as error:
            raise ArtifactError(
                f"run {name} is damaged ({error})", where=runs.root, remedy="run the batch again"
            ) from error
    return name, long_frame(table, style).sort_values(Columns.RANK, ignore_index=True)


def _parts(runs: Runs, name: str, parts: list[str], style: Style) -> dataset.Dataset:
    schema = SCHEMAS[style.layout]
    form: Any = "parquet"
    if style.file_format is TableFormat.CSV:
        form = dataset.CsvFileFormat(
            csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict(zip(schema.names, schema.types, strict=True)),
                strings_can_be_null=False,
            ),
        )
    paths = [f"{runs.root}/{name}/{part}" for part in parts]
    return dataset.dataset(paths, schema=schema, format=form, filesystem=runs.system)
