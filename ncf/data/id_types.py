"""Raw ids in typed columns: which types can be ids, and their texts."""

import uuid

import pyarrow as pa
import pyarrow.compute as pc

TAKEN = "give ids as strings or whole numbers"
_UUID_BYTES = 16


def id_column(column: pa.Array | pa.ChunkedArray, *, uuids: bool = False) -> pa.ChunkedArray | None:
    """Turn a column of ids into strings, as they are; None where its type cannot be ids.

    Texts (UTF-8 in binary too), whole numbers of any size, decimals without digits after the
    point, categories of these; UUIDs in 16 bytes where ``uuids`` says so.

    Raises
    ------
    pyarrow.ArrowInvalid
        Bytes are not UTF-8.

    Examples
    --------
    >>> id_column(pa.array([7, None], pa.uint64())).to_pylist()
    ['7', None]
    >>> id_column(pa.array([b"007"])).to_pylist()
    ['007']
    >>> id_column(pa.array([1.5])) is None
    True
    """
    if isinstance(column, pa.ChunkedArray):
        parts = [id_column(part, uuids=uuids) for part in column.chunks]
        if not parts:
            return pa.chunked_array([], pa.string())
        whole = [part for part in parts if part is not None]
        chunks = [chunk for part in whole for chunk in part.chunks]
        return pa.chunked_array(chunks, pa.string()) if len(whole) == len(parts) else None
    if isinstance(column, pa.ExtensionArray):
        uuids = uuids or str(column.type.extension_name) == "arrow.uuid"
        column = column.storage
    if pa.types.is_dictionary(column.type):
        texts = id_column(column.dictionary, uuids=uuids)
        if texts is None:
            return None
        return pa.chunked_array([texts.combine_chunks().take(column.indices)])
    return _plain(column, uuids=uuids)


def _plain(column: pa.Array, *, uuids: bool) -> pa.ChunkedArray | None:
    kind = column.type
    if pa.types.is_null(kind) or not len(column):
        texts = pa.nulls(len(column), pa.string())
    elif uuids and pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        named = (
            None if each is None else str(uuid.UUID(bytes=each)) for each in column.to_pylist()
        )
        texts = pa.array(list(named), pa.string())
    elif _text_or_bytes(kind) or pa.types.is_integer(kind) or _whole_decimal(kind):
        texts = column.cast(pa.string())
    else:
        return None
    texts.validate(full=True)
    return pa.chunked_array([texts])


def _text_or_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        is_one(kind)
        for is_one in (
            *(types.is_string, types.is_large_string, types.is_string_view),
            *(types.is_binary, types.is_large_binary, types.is_binary_view),
        )
    )


def _whole_decimal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind) and kind.scale == 0)


def encode_ids(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Give codes into distinct values, in order of first appearance."""
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # more than fits into one array, or none
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.nulls(0)
    if pa.types.is_null(encoded.type):
        encoded = encoded.cast(pa.string())
    return encoded if pa.types.is_dictionary(encoded.type) else pc.dictionary_encode(encoded)
