"""Parquet files and folders of parts, as Spark writes them: columns by name, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ncf.data.codes import IdCodes
from ncf.data.id_types import TAKEN, encode_ids, id_column
from ncf.data.naming import REQUIRED, Naming, Wanted
from ncf.data.parquet_files import part_files
from ncf.data.ratings import in_order
from ncf.data.values import NAME_IT
from ncf.errors import RatingsError

_ROWS = 1 << 20
_BUFFER = 1 << 20  # bytes; read in pieces, instead of whole columns of row groups


@dataclass(frozen=True)
class Part:
    """Some rows of a Parquet file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    first : int
        Number of the first row in the file, from 1.
    columns : dict
        Values by the toolkit's name of the column.
    ignored : tuple of str
        Names of columns that are left aside.
    uuids : frozenset of str
        Columns whose 16 bytes are a UUID.
    """

    path: Path
    first: int
    columns: dict[str, pa.ChunkedArray]
    ignored: tuple[str, ...]
    uuids: frozenset[str]

    @property
    def noun(self) -> str:
        """What messages call a row."""
        return "row"

    def __len__(self) -> int:
        """Count of rows."""
        return len(next(iter(self.columns.values())))

    def line(self, row: int) -> int:
        """Give the number of a row in the file, from 1."""
        return self.first + row

    def at(self, number: int) -> str:
        """Name the row of a number."""
        return f"{self.path}, row {number}"

    def error(self, row: int, problem: str, remedy: str | None = None) -> RatingsError:
        """Make the error that names a row."""
        return RatingsError(problem, where=self.at(self.line(row)), remedy=remedy)

    def add_ids(self, name: str, to: IdCodes) -> None:
        """Add the ids of a column; whole numbers without a gap as they are, which is quick.

        Raises
        ------
        RatingsError
            As for :meth:`ids`.
        """
        column = self.columns[name]
        if len(column) and pa.types.is_integer(column.type) and not column.null_count:
            try:
                to.add_whole(column.cast(pa.int64()).to_numpy())
            except pa.ArrowInvalid:  # above 2^63
                to.add(self.ids(name))
        else:
            to.add(self.ids(name))

    def ids(self, name: str) -> pa.DictionaryArray:
        """Give the ids of a column as codes into distinct strings, by first appearance.

        Raises
        ------
        RatingsError
            The column's type cannot be ids, or an id is missing, blank or no UTF-8.
        """
        given = self.columns[name]
        try:
            column = encode_ids(given)
            found = id_column(column.dictionary, uuids=name in self.uuids)
        except pa.ArrowNotImplementedError as error:  # lists and the like
            problem = f"column {name!r} is {given.type}"
            raise RatingsError(problem, where=self.path, remedy=TAKEN) from error
        except pa.ArrowInvalid as error:
            raise RatingsError(
                f"{name} holds bytes that are not UTF-8", where=self.path, remedy=TAKEN
            ) from error
        if found is None:
            problem = f"column {name!r} is {column.type.value_type}"
            raise RatingsError(problem, where=self.path, remedy=TAKEN)
        texts = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], pa.string())
        blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(texts), ""), fill_value=True)
        if column.null_count or pc.any(blank).as_py():
            bad = pc.fill_null(blank.take(column.indices), fill_value=True)
            row = pc.index(bad, value=True).as_py()
            if row >= 0:
                raise self.error(row, f"{name} is blank", NAME_IT)
        ids = pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), texts)
        # What was stored as a dictionary may have its texts in another order, or more of them.
        return in_order(ids) if pa.types.is_dictionary(given.type) else ids


def read_parts(
    path: Path, naming: Naming, wanted: Wanted | None = None, at: Path | None = None
) -> Iterator[Part]:
    """Yield the rows of a file or of all parts of a folder; a part without rows is yielded too.

    Parameters
    ----------
    path : Path
        What messages call the file or folder.
    naming : Naming
        Columns that the caller named.
    wanted : Wanted, optional
        Columns to read; those of ratings if not given.
    at : Path, optional
        Where it is, if not at ``path``.

    Raises
    ------
    RatingsError
        A file cannot be read, or a column is missing or ambiguous.
    """
    at = at or path
    for file in part_files(at):
        shown = path if file == at else path / file.relative_to(at)
        try:
            names = _names(file)
        except Exception as error:  # a damaged schema is none of Arrow's own errors
            raise _damaged(shown, error) from error

        def refuse(
            problem: str, remedy: str, shown: Path = shown, names: _Names = names
        ) -> RatingsError:
            listed = ", ".join(map(repr, names.all[:12]))
            return RatingsError(f"{problem} among {listed}", where=shown, remedy=remedy)

        places = naming.locate(names.all, refuse, wanted or naming.wanted())
        yield from _blocks(file, shown, names, places)


@dataclass(frozen=True)
class _Names:
    """Names of a file's columns; of them texts, and UUIDs."""

    all: list[str]
    texts: frozenset[str]
    uuids: frozenset[str]


def _names(file: Path) -> _Names:
    with pq.ParquetFile(file) as opened:
        schema, leaves = opened.schema_arrow, opened.schema
        uuids = {
            leaves.column(place).name
            for place in range(len(leaves))
            if leaves.column(place).logical_type.type == "UUID"
        }
    texts = {field.name for field in schema if _is_text(field.type)}
    return _Names(schema.names, frozenset(texts), frozenset(uuids))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _blocks(file: Path, shown: Path, names: _Names, places: dict[str, int]) -> Iterator[Part]:
    by_column = {column: names.all[place] for column, place in places.items()}
    ignored = tuple(name for name in names.all if name not in by_column.values())
    ids = [by_column[column] for column in REQUIRED if column in by_column]
    uuids = frozenset(column for column, name in by_column.items() if name in names.uuids)
    coded = [name for name in ids if name in names.texts]
    first = 1
    try:
        with pq.ParquetFile(file, read_dictionary=coded, buffer_size=_BUFFER) as opened:
            batches = opened.iter_batches(_ROWS, columns=list(by_column.values()))
            for batch in batches:
                columns = {
                    column: pa.chunked_array([_stored(batch.column(name))])
                    for column, name in by_column.items()
                }
                yield Part(shown, first, columns, ignored, uuids)
                first += batch.num_rows
            if first == 1:
                empty = {column: pa.chunked_array([pa.nulls(0)]) for column in by_column}
                yield Part(shown, first, empty, ignored, uuids)
    except RatingsError:
        raise
    except Exception as error:  # a damaged page is none of Arrow's own errors
        raise _damaged(shown, error) from error


def _stored(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _damaged(path: Path, error: Exception) -> RatingsError:
    return RatingsError(f"not readable as Parquet ({error})", where=path)
