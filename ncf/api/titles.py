"""Names of figures of an evaluation, for people."""

TITLES = {
    "hr": "HR",
    "ndcg": "NDCG",
    "recall": "recall",
    "mrr": "MRR",
    "precision": "precision",
    "map": "MAP",
    "r_precision": "R-precision",
    "coverage": "coverage",
    "gini": "Gini of listed items",
    "novelty": "novelty, bits",
    "similarity": "similarity within lists",
    "popularity": "popularity of lists",
    "history_popularity": "popularity of histories",
    "popularity_lift": "popularity lift",
}


def at_k(title: str, k: int, protocol: str) -> str:
    """Name a figure with its K and protocol.

    Examples
    --------
    >>> at_k("HR", 10, "sampled")
    'HR@10 (sampled)'
    """
    name, comma, unit = title.partition(",")
    return f"{name}@{k} ({protocol}){comma}{unit}"
