"""Read frozen dataclasses from JSON values, with every field checked, and write them.

A field may be missing if it has a default or may be None. Fields that the class does not have are
ignored, unless the field above is :data:`CLOSED`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from ncf.errors import NcfError

KEY = "key"
"""Metadata of a field: its name in JSON, if Python does not allow the name."""

CLOSED: Mapping[str, object] = MappingProxyType({"closed": True})
"""Metadata of a field: a record that refuses fields which its class does not have."""


_OMITTED: Mapping[str, object] = MappingProxyType({"omitted": True})


def optional() -> Any:  # noqa: ANN401 - stands in for None, as dataclasses.field does
    """Declare a field that is None by default, and is not written while it is None."""
    return field(default=None, metadata=_OMITTED)


class Record(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


R = TypeVar("R", bound=Record)


class FieldError(ValueError):
    """A field is missing, or its value is not of its type; the message names it."""


def read_record(cls: type[R], value: object, name: str = "", *, closed: bool = False) -> R:
    """Read a record.

    Parameters
    ----------
    cls : type
        A dataclass. Its fields are records, enums, plain values, tuples of these, or mappings of
        texts to these.
    value : object
        Result of ``json.loads``.
    name : str
        Name of the record in messages; empty at the top.
    closed : bool
        Whether unknown fields are refused.

    Raises
    ------
    FieldError
        A field is missing or of another type.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Size:
    ...     users: int
    >>> read_record(Size, {"users": 3})
    Size(users=3)
    >>> read_record(Size, {"users": "3"}, "size")
    Traceback (most recent call last):
    ncf.records.FieldError: field 'size.users' is '3', not an integer
    """
    if not isinstance(value, dict):
        raise _wrong(name, value, "a table")
    found = _read_fields(cls, value, name)
    if closed and (extra := value.keys() - {json_key(each) for each in fields(cls)}):
        raise FieldError(f"field {name!r} has {min(extra)!r}, which is unknown")
    try:
        return cls(**found)
    except NcfError as error:
        raise FieldError(f"field {name!r}: {error}") from error


def _read_fields(cls: type[Record], values: Mapping[str, object], name: str) -> dict[str, Any]:
    """Read the fields that are there; those that may be missing are left out, or None."""
    types, found = _types(cls), {}
    for each in fields(cls):
        key = json_key(each)
        place = f"{name}.{key}" if name else key
        if key in values:
            closed = "closed" in each.metadata
            found[each.name] = _read(types[each.name], values[key], place, closed=closed)
        elif is_required(each):
            if not _admits_none(types[each.name]):
                raise FieldError(f"field {place!r} is missing")
            found[each.name] = None
    return found


def json_values(record: Record) -> dict[str, object]:
    """Turn a record into JSON values.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Size:
    ...     users: tuple[int, ...]
    ...     note: str | None = optional()
    >>> json_values(Size((3, 4)))
    {'users': [3, 4]}
    """
    found = {each: getattr(record, each.name) for each in fields(record)}
    return {
        json_key(each): _plain(value)
        for each, value in found.items()
        if value is not None or "omitted" not in each.metadata
    }


def json_key(which: Field[Any]) -> str:
    """Find the name of a field in JSON."""
    return str(which.metadata.get(KEY, which.name))


def is_required(which: Field[Any]) -> bool:
    """Whether a field has no default."""
    return which.default is MISSING and which.default_factory is MISSING


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return json_values(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value


_NAMES = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def _read(  # noqa: PLR0911 - one for each kind of type
    wanted: Any,  # noqa: ANN401 - a type expression
    value: object,
    name: str,
    *,
    closed: bool = False,
) -> object:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _read(arguments[0], value, name, closed=closed)
    if origin in {Union, UnionType}:
        return _read_one_of(arguments, value, name, closed=closed)
    if origin is Literal:
        return _read_choice(value, name, arguments)
    if origin is not None:
        return _read_several(origin, arguments, value, name)
    if isinstance(wanted, type) and is_dataclass(wanted):
        return read_record(wanted, value, name, closed=closed)
    if issubclass(wanted, Enum):
        return wanted(_read_choice(value, name, [each.value for each in wanted]))
    return _read_plain(wanted, value, name)


def _read_several(origin: Any, types: tuple[Any, ...], value: object, name: str) -> object:  # noqa: ANN401 - a type expression
    """Read a tuple of values of one type, or a mapping of texts to such values."""
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(name, value, "a list")
        return tuple(_read(types[0], each, f"{name}[{n}]") for n, each in enumerate(value))
    if not isinstance(value, dict):
        raise _wrong(name, value, "a table")
    return {key: _read(types[1], each, f"{name}.{key}") for key, each in value.items()}


def _read_choice(value: object, name: str, choices: Sequence[str]) -> object:
    if not isinstance(value, str) or value not in choices:
        raise _wrong(name, value, f"one of {', '.join(choices)}")
    return value


def _read_plain(wanted: type, value: object, name: str) -> object:
    # An integer counts as a number, and stays an integer; true and false do not count.
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if not fits and wanted is not object:
        raise _wrong(name, value, _NAMES.get(wanted, "null"))
    return value


def _read_one_of(types: Iterable[Any], value: object, name: str, *, closed: bool) -> object:
    """Read a value as the first type that it fits; None is tried before all others."""
    failed: list[FieldError] = []
    for each in sorted(types, key=lambda each: each is not NoneType):
        try:
            return _read(each, value, name, closed=closed)
        except FieldError as error:
            failed.append(error)
    raise failed[-1]


def _wrong(name: str, value: object, wanted: str) -> FieldError:
    place = f"field {name!r}" if name else "the whole"
    return FieldError(f"{place} is {str(value)[:40]!r}, not {wanted}")


def _admits_none(wanted: Any) -> bool:  # noqa: ANN401 - a type expression
    return get_origin(wanted) in {Union, UnionType} and NoneType in get_args(wanted)


@cache
def _types(cls: type[Record]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)
