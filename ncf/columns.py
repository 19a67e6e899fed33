"""Define the column names of every table that the toolkit reads or writes."""

from collections.abc import Iterable
from typing import Final


class Columns:
    """Names of columns, so that each string is written once."""

    USER_ID: Final = "user_id"  # raw id, string
    ITEM_ID: Final = "item_id"  # raw id, string
    RATING: Final = "rating"
    TIMESTAMP: Final = "timestamp"  # Unix time, milliseconds
    PART: Final = "part"  # train, validation or test
    TITLE: Final = "title"
    USER: Final = "user"  # dense index, int32
    ITEM: Final = "item"  # dense index, int32
    RANK: Final = "rank"  # from 1
    SCORE: Final = "score"  # logit
    ITEM_IDS: Final = "item_ids"  # raw ids, best first
    SCORES: Final = "scores"  # their logits
    POLICY: Final = "policy"  # "model" or "popular"


_USUAL: Final = {
    Columns.USER_ID: (
        *("user_id", "user", "uid", "customer_id", "customer", "client_id", "member_id", "member"),
        *("account_id", "visitor_id", "reviewer_id", "profile_id", "subscriber_id"),
    ),
    Columns.ITEM_ID: (
        *("item_id", "item", "iid", "movie_id", "movie", "product_id", "product", "asin"),
        *("parent_asin", "sku", "isbn", "article_id", "book_id", "track_id", "song_id"),
        *("artist_id", "anime_id", "game_id", "video_id", "news_id", "business_id", "content_id"),
        *("app_id", "course_id", "gmap_id", "listing_id", "recipe_id", "restaurant_id", "post_id"),
    ),
    Columns.RATING: ("rating", "stars", "overall", "book_rating"),
    Columns.TIMESTAMP: (
        *("timestamp", "time", "datetime", "unix_review_time", "event_time"),
        *("event_timestamp", "unix_timestamp", "date", "created_at", "rated_at", "ts"),
    ),
    Columns.PART: ("part",),
    Columns.TITLE: ("title", "item_title", "movie_title", "product_title", "book_title"),
}
_SEPARATORS: Final = str.maketrans("", "", "_- ")
_BY_NAME: Final = {
    name.translate(_SEPARATORS): column for column, names in _USUAL.items() for name in names
}


def usual_column(name: str) -> str | None:
    """Find the column that a usual name stands for, in files and frames; None if there is none.

    Case, spaces, ``_`` and ``-`` are ignored.

    Examples
    --------
    >>> usual_column("userId"), usual_column("Movie-ID"), usual_column("asin")
    ('user_id', 'item_id', 'item_id')
    >>> usual_column("genres") is None
    True
    """
    return _BY_NAME.get(name.strip().lower().translate(_SEPARATORS))


def columns_named(column: str, names: Iterable[str]) -> list[str]:
    """List the names that stand for a column, or only its own name if that is among them.

    Examples
    --------
    >>> columns_named("user_id", ["userId", "movieId", "rating"])
    ['userId']
    >>> columns_named("item_id", ["user_id", "item_id", "asin"])
    ['item_id']
    """
    found = [name for name in names if usual_column(name) == column]
    return [column] if column in found else found
