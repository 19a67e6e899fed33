"""Use an exported model, with answers in frames."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ncf.api.figures import Figures
from ncf.api.lists import lists_frame, requests_of
from ncf.api.options import Ids
from ncf.api.pair_scores import scores_frame
from ncf.api.similar import Vectors, item_vectors, similar_frame
from ncf.columns import Columns
from ncf.data.frames import Frame
from ncf.data.raw_ids import raw_ids
from ncf.scoring.bundle import Bundle as Opened
from ncf.scoring.exact import ExactRanker
from ncf.scoring.queries import Recommendation, Wishes
from ncf.scoring.recommend import Recommender
from ncf.scoring.sessions import open_cpu

if TYPE_CHECKING:
    from ncf.scoring.onnx_runtime import ort


class Bundle:
    """An open exported model: it recommends, scores and finds similar items, without PyTorch.

    Parameters
    ----------
    opened : Bundle
        The opened folder, with every digest checked.
    exported : Figures, optional
        Figures from :func:`ncf.export`: differences from PyTorch by graph, and the screen; empty
        if the bundle was exported earlier.

    Examples
    --------
    >>> bundle
    Bundle('model_store/mine': gmf, 40 users, 30 items)
    >>> bundle.recommend(["u0", "u1"], k=2).columns.tolist()
    ['user_id', 'rank', 'item_id', 'title', 'score', 'policy']
    """

    def __init__(self, opened: Opened, exported: Figures | None = None) -> None:
        self._opened = opened
        self.exported = exported or Figures({})

    def __repr__(self) -> str:
        kind, sizes = self._opened.manifest.model.kind, self._opened
        counts = f"{sizes.n_users:,} users, {sizes.n_items:,} items"
        return f"Bundle({str(self.path)!r}: {kind}, {counts})"

    @property
    def path(self) -> Path:
        """Folder of the bundle."""
        return self._opened.path

    @property
    def digest(self) -> str:
        """Digest of the whole bundle, 64 hex digits."""
        return self._opened.digest

    def frame(self) -> pd.DataFrame:
        """List the catalogue: ``item_id``, ``title`` and ``interactions``, most popular first.

        Examples
        --------
        >>> bundle.frame().columns.tolist()
        ['item_id', 'title', 'interactions']
        """
        items, popular = self._opened.items, self._opened.popular
        counts = np.bincount(self._opened.seen.items, minlength=len(items))
        return pd.DataFrame(
            {
                Columns.ITEM_ID: [items.raw[item] for item in popular.tolist()],
                Columns.TITLE: [items.title(item) for item in popular.tolist()],
                "interactions": counts[popular],
            }
        )

    def recommend(
        self,
        users: Ids | None = None,
        *,
        k: int = 10,
        exclude: Ids = (),
        candidates: Ids | None = None,
        include_seen: bool = False,
        history: Mapping[str | int, Ids] | Ids | None = None,
    ) -> pd.DataFrame:
        """Recommend items: score every item exactly, and give each user the best that they may get.

        For every user of a large model, :func:`ncf.batch` is faster.

        Parameters
        ----------
        users : str, int, or sequence or column of these, optional
            Raw ids. Strangers get the popular items (see ``policy``), or raise an error if the
            bundle was exported so.
        k : int
            Largest number of items for each user.
        exclude : ids
            Items to leave out; unknown ones have no effect.
        candidates : ids, optional
            The only items that may be listed.
        include_seen : bool
            Whether items that users have interacted with may be listed.
        history : mapping of user to ids, or ids, optional
            Items that users have taken since the export, by user; users may be left out then. A
            stranger with a long enough history gets a list by it, and a trained user's row moves
            along with it. Ids alone are the history of one nameless stranger. Unknown items have
            no effect.

        Returns
        -------
        DataFrame
            Columns ``user_id``, ``rank`` from 1, ``item_id``, ``title`` (where known), ``score``
            (logit; missing in the popular list), ``policy`` (``"model"``, ``"history"`` or
            ``"popular"``).

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        RequestError
            A candidate is unknown, or a user is a stranger and the bundle refuses strangers.

        Examples
        --------
        >>> bundle.recommend("u0", k=2, exclude=["film 0"])  # doctest: +ELLIPSIS
          user_id  rank  item_id ... policy
        0      u0     1  film ... model
        1      u0     2  film ... model
        >>> bundle.recommend(["stranger"], k=1).policy.tolist()
        ['popular']
        >>> bundle.recommend(history={"new": ["film 0", "film 2", "film 4"]}, k=1).policy.tolist()
        ['history']
        """
        only = None if candidates is None else tuple(raw_ids(candidates, "candidates"))
        wishes = Wishes(k, tuple(raw_ids(exclude, "exclude")), only, include_seen, exact=True)
        named = None if users is None else raw_ids(users, "users")
        requests = requests_of(named, history, wishes)
        return lists_frame(self._recommender, requests)

    def recommendation(
        self, user: str | int = "", *, k: int = 10, history: Ids | None = None
    ) -> Recommendation:
        """Recommend to one user, and give the list and its policy even if the list is empty.

        The answer also counts the items of a given history that the bundle knows.

        Examples
        --------
        >>> found = bundle.recommendation("u0", k=2)
        >>> found.policy.value, len(found.items)
        ('model', 2)
        """
        (raw,) = ("",) if user == "" and history is not None else raw_ids(user, "user")
        taken = None if history is None else tuple(raw_ids(history, "history"))
        return self._recommender.recommend(raw, Wishes(k, exact=True, history=taken))

    def history(self, user: str | int) -> pd.DataFrame:
        """List the items that a user has seen: ``item_id`` and ``title``; none for a stranger.

        Examples
        --------
        >>> len(bundle.history("u0"))
        8
        """
        (raw,) = raw_ids(user, "user")
        found = self._recommender.history(raw)
        names = {Columns.ITEM_ID: [each.item for each in found]}
        return pd.DataFrame({**names, Columns.TITLE: [each.title for each in found]}, dtype=object)

    def score(self, pairs: Frame | Iterable[tuple[str | int, str | int]]) -> pd.DataFrame:
        """Score pairs of users and items.

        Parameters
        ----------
        pairs : DataFrame, pyarrow.Table, or iterable of (user, item)
            A frame has columns of users and items under usual names.

        Returns
        -------
        DataFrame
            Columns ``user_id``, ``item_id`` and ``score`` (logit), in the order given; the score
            is missing where the model does not know the user or the item.

        Examples
        --------
        >>> bundle.score([("u0", "film 2"), ("u0", "no such film")]).score.isna().tolist()
        [False, True]
        """
        return scores_frame(self._opened, self._pair_session, pairs)

    def similar_items(self, item: str | int, *, k: int = 10) -> pd.DataFrame:
        """Find the items most similar to an item, by the cosine of their vectors.

        An item's vector is its embedding; in a NeuMF it is the embeddings of the GMF and the MLP
        branch, side by side.

        Parameters
        ----------
        item : str or int
            Raw id of the item.
        k : int
            Largest number of items.

        Returns
        -------
        DataFrame
            Columns ``rank`` from 1, ``item_id``, ``title`` (where known), ``similarity`` (cosine,
            in [-1, 1]).

        Raises
        ------
        UsageError, RequestError
            ``k`` is less than 1, or the model does not know the item.

        Examples
        --------
        >>> bundle.similar_items("film 0", k=3).columns.tolist()
        ['rank', 'item_id', 'title', 'similarity']
        """
        (raw,) = raw_ids(item, "item")
        return similar_frame(self._opened, self._vectors, raw, k)

    @cached_property
    def _recommender(self) -> Recommender:
        return Recommender(self._opened, ExactRanker.open(self._opened))

    @cached_property
    def _pair_session(self) -> "ort.InferenceSession":
        return open_cpu(self._opened.score_graph)

    @cached_property
    def _vectors(self) -> Vectors:
        return item_vectors(self._opened)
