"""Column names of every table the toolkit reads or writes, in one place."""

from typing import Final


class Columns:
    """Names of columns; nobody types one of these strings twice."""

    USER_ID: Final = "user_id"  # raw id, string
    ITEM_ID: Final = "item_id"  # raw id, string
    RATING: Final = "rating"
    TIMESTAMP: Final = "timestamp"  # Unix time, milliseconds
    TITLE: Final = "title"
    USER: Final = "user"  # dense index, int32
    ITEM: Final = "item"  # dense index, int32
    RANK: Final = "rank"  # from 1
    SCORE: Final = "score"  # logit
    ITEM_IDS: Final = "item_ids"  # raw ids from the best
    SCORES: Final = "scores"  # their logits
    POLICY: Final = "policy"  # "model" or "popular"
