"""URIs of places and of runs: options after ``?`` stay behind a name that is added."""

from ncf.errors import without_credentials


def within(uri: str, name: str) -> str:
    """Make the URI of what lies under another.

    Examples
    --------
    >>> within("s3://tables/topk?region=eu-west-1", "LATEST")
    's3://tables/topk/LATEST?region=eu-west-1'
    """
    path, mark, options = uri.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{options}"


def above(uri: str) -> str:
    """Make the URI of what another lies under.

    Examples
    --------
    >>> above("s3://tables/topk/LATEST?region=eu-west-1")
    's3://tables/topk?region=eu-west-1'
    """
    path, mark, options = uri.partition("?")
    return f"{path.rstrip('/').rpartition('/')[0]}{mark}{options}"


def shown(uri: str, name: str) -> str:
    """Make the URI of what lies under another, to be shown: without credentials."""
    return without_credentials(within(uri, name))
