"""Limit the length of lists: an answer over TorchServe's limit would kill the worker."""

from ncf.identifiers import IdMap

MAX_K = 1000
MAX_USER = 100_000  # characters of a user id, which the answer repeats
MAX_BODY = 6_553_500
"""Bytes of a request's body, and of an answer, as TorchServe limits both by default."""

_AROUND_ITEM = 64  # bytes of names, punctuation and the score
_AROUND_LIST = 1024
_ESCAPED = 6  # bytes of a character in JSON at most
_AROUND_LISTS = 200_000  # bytes around each of a thousand lists


def longest_list(items: IdMap) -> int:
    """Count the items that surely fit in one answer, whatever characters ids and titles have."""
    return max(1, min(MAX_K, _room(items, _AROUND_LIST)))


def most_items(items: IdMap) -> int:
    """Count the items that surely fit in one answer to many users."""
    return max(1, _room(items, _AROUND_LISTS))


def _room(items: IdMap, around: int) -> int:
    texts = max(
        (len(items.raw[index]) + len(items.title(index) or "") for index in range(len(items))),
        default=0,
    )
    return (MAX_BODY - _ESCAPED * MAX_USER - around) // (_ESCAPED * texts + _AROUND_ITEM)
