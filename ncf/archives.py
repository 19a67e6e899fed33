"""What an archive says of the bundle in it, read without unpacking."""

import json
import zipfile
from dataclasses import dataclass

from ncf.records import read_record


@dataclass(frozen=True)
class _Sealed:
    """The field of ``bundle.json`` that stands for the whole bundle."""

    digest: str


@dataclass(frozen=True)
class _Request:
    """The field of a golden request that can be asked again."""

    user: str


@dataclass(frozen=True)
class _Golden:
    """The requests of ``golden.json``."""

    answers: tuple[_Request, ...]


def bundle_digest(archive: zipfile.ZipFile) -> str:
    """Digest of the bundle, 64 hex digits.

    Raises
    ------
    KeyError, ValueError
        The archive holds no bundle, or a damaged one.
    """
    return read_record(_Sealed, json.loads(archive.read("bundle/bundle.json"))).digest


def golden_user(archive: zipfile.ZipFile) -> str:
    """User of the first golden request.

    Raises
    ------
    KeyError, IndexError, ValueError
        The archive holds no golden request.
    """
    return read_record(_Golden, json.loads(archive.read("bundle/golden.json"))).answers[0].user
