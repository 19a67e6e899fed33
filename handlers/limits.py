"""Limit the length of lists: an answer over TorchServe's limit would kill the worker."""

from ncf.identifiers import IdMap

MAX_K = 1000
MAX_USER = 100_000  # characters of a user id, which the answer repeats

# TorchServe's limit on an answer, in bytes, unless 'max_response_size' sets another.
_RESPONSE_BYTES = 6_553_500
_AROUND_ITEM = 64  # bytes of names, punctuation and the score
_AROUND_LIST = 1024
_ESCAPED = 6  # bytes of a character in JSON at most


def longest_list(items: IdMap) -> int:
    """Count the items that surely fit in one answer, whatever characters ids and titles have."""
    texts = max(
        (len(items.raw[index]) + len(items.title(index) or "") for index in range(len(items))),
        default=0,
    )
    room = _RESPONSE_BYTES - _ESCAPED * MAX_USER - _AROUND_LIST
    return max(1, min(MAX_K, room // (_ESCAPED * texts + _AROUND_ITEM)))
