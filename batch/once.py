"""Make an object of a store only if there is none, which Arrow does not offer."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pyarrow import fs

from ncf.errors import UnreachableError

Create = Callable[[str, bytes], bool]
"""Makes an object at a path; False if there is one."""

# The last says that another one is making it right now.
_THERE = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
_PASSING = {429, 500, 502, 503, 504}  # but not 501: the store does not know the condition
_CUT_OFF = {"HTTPClientError", "ConnectionError"}  # of botocore, which boto3 does not show


def through_boto3(out: str) -> Create | None:
    """Put with ``If-None-Match``, which Arrow does not offer."""
    try:
        import boto3  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    parts = urlsplit(out)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    endpoint = options.get("endpoint_override")
    client = boto3.client(
        "s3",
        endpoint_url=endpoint and f"{options.get('scheme', 'https')}://{endpoint}",
        region_name=options.get("region"),
        aws_access_key_id=parts.username and unquote(parts.username),
        aws_secret_access_key=parts.password and unquote(parts.password),
    )

    def create(path: str, content: bytes) -> bool:
        bucket, _, key = path.partition("/")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
        except client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _THERE:
                return False
            if _status(error.response) in _PASSING:
                raise _unreachable(bucket, error) from error
            raise
        except Exception as error:
            if _CUT_OFF.isdisjoint(kind.__name__ for kind in type(error).__mro__):
                raise
            raise _unreachable(bucket, error) from error
        return True

    return create


def through_fsspec(system: fs.FileSystem) -> Create | None:
    """Write with the mode ``create`` of fsspec."""
    wrapped = getattr(getattr(system, "handler", None), "fs", None)
    if wrapped is None:
        return None

    def create(path: str, content: bytes) -> bool:
        try:
            wrapped.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    return create


def _status(answer: Mapping[str, Any]) -> int:
    found: int = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return found


def _unreachable(bucket: str, error: Exception) -> UnreachableError:
    return UnreachableError(
        f"no lock can be kept now ({error})",
        where=bucket,
        remedy="check the network and the credentials, and run the same command again",
    )
