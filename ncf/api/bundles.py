"""A trained model out as a bundle, and what a bundle answers."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from ncf.api.figures import Figures
from ncf.api.options import Place, chosen, folder
from ncf.api.similar import Vectors, item_vectors, most_similar
from ncf.columns import Columns
from ncf.data.frames import Frame, read_ids_of
from ncf.data.id_files import find
from ncf.data.raw_ids import raw_ids
from ncf.errors import NcfError, RequestError
from ncf.policies import ColdUser
from ncf.scoring.bundle import Bundle as Opened
from ncf.scoring.bundle import open_bundle as open_folder
from ncf.scoring.exact import ExactRanker
from ncf.scoring.ranker import check_k
from ncf.scoring.recommend import Recommendation, Recommender, Request, Wishes
from ncf.scoring.sessions import open_cpu

if TYPE_CHECKING:
    import onnxruntime as ort

    from ncf.api.data import Data
    from ncf.api.models import Model

Ids: TypeAlias = str | int | Iterable[object]
"""One raw id, or any sequence or column of them."""

_USERS_AT_ONCE = 256  # whose lists one call of the graph makes
_PAIRS_AT_ONCE = 1 << 16


class Bundle:
    """An exported model, open: recommends, scores, finds similar items; needs no PyTorch.

    Parameters
    ----------
    opened : Bundle
        The folder, every digest checked.
    exported : Figures, optional
        What :func:`ncf.export` found: differences from PyTorch by graph, the screen; empty
        where the bundle was made before.

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
        kind, sizes = self._opened.manifest["model"]["kind"], self._opened
        counts = f"{sizes.n_users:,} users, {sizes.n_items:,} items"
        return f"Bundle({str(self.path)!r}: {kind}, {counts})"

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._opened.path

    @property
    def digest(self) -> str:
        """Digest that stands for the whole bundle, 64 hex digits."""
        return self._opened.digest

    def frame(self) -> pd.DataFrame:
        """Give the catalogue: ``item_id``, ``title`` and ``interactions``, most popular first.

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
        users: Ids,
        *,
        k: int = 10,
        exclude: Ids = (),
        candidates: Ids | None = None,
        include_seen: bool = False,
    ) -> pd.DataFrame:
        """Recommend items: every item is scored exactly, and the best that a user may get given.

        For every user of a large model, :func:`ncf.batch` is faster.

        Parameters
        ----------
        users : str, int, or sequence or column of these
            Raw ids. Users whom the model does not know get the popular items (``policy``), or are
            an error where the bundle was exported so.
        k : int
            Items a user at most.
        exclude : ids
            Items that nobody gets; unknown ones have no effect.
        candidates : ids, optional
            Items that alone may be listed.
        include_seen : bool
            Whether items that users have interacted with may be listed.

        Returns
        -------
        DataFrame
            ``user_id``, ``rank`` from 1, ``item_id``, ``title`` (where known), ``score`` (logit;
            missing in the popular list), ``policy`` (``"model"`` or ``"popular"``).

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        RequestError
            A candidate is unknown, or a user is and the bundle was exported to refuse that.

        Examples
        --------
        >>> bundle.recommend("u0", k=2, exclude=["film 0"])  # doctest: +ELLIPSIS
          user_id  rank  item_id ... policy
        0      u0     1  film ... model
        1      u0     2  film ... model
        >>> bundle.recommend(["stranger"], k=1).policy.tolist()
        ['popular']
        """
        only = None if candidates is None else tuple(raw_ids(candidates, "candidates"))
        wishes = Wishes(k, tuple(raw_ids(exclude, "exclude")), only, include_seen, exact=True)
        rows = [row for found in self._lists(raw_ids(users, "users"), wishes) for row in found]
        return _lists_frame(rows)

    def recommendation(self, user: str | int, *, k: int = 10) -> Recommendation:
        """Recommend to one user: the list and its policy, also where the list is empty.

        Examples
        --------
        >>> found = bundle.recommendation("u0", k=2)
        >>> found.policy.value, len(found.items)
        ('model', 2)
        """
        (raw,) = raw_ids(user, "user")
        return self._recommender.recommend(raw, Wishes(k, exact=True))

    def history(self, user: str | int) -> pd.DataFrame:
        """Give a user's interactions: ``item_id`` and ``title``; none for an unknown user.

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
            ``user_id``, ``item_id`` and ``score`` (logit), in the order given; the score is
            missing where the model does not know the user or the item.

        Raises
        ------
        RatingsError
            A column is missing, or an id cannot be used; the message names the row.

        Examples
        --------
        >>> bundle.score([("u0", "film 2"), ("u0", "no such film")]).score.isna().tolist()
        [False, True]
        """
        users, items = _pairs(pairs)
        user, item = find(self._opened.users, users), find(self._opened.items, items)
        known = np.flatnonzero((user >= 0) & (item >= 0))
        scores = np.full(len(users), np.nan, np.float32)
        for start in range(0, known.size, _PAIRS_AT_ONCE):
            rows = known[start : start + _PAIRS_AT_ONCE]
            feeds = {"user": user[rows], "item": item[rows]}
            (scores[rows],) = self._pair_session.run(["logit"], feeds)
        ids = {Columns.USER_ID: users.to_pylist(), Columns.ITEM_ID: items.to_pylist()}
        index = pairs.index if isinstance(pairs, pd.DataFrame) else None
        return pd.DataFrame({**ids, Columns.SCORE: scores}, index=index)

    def similar_items(self, item: str | int, *, k: int = 10) -> pd.DataFrame:
        """Find items that the model holds for alike: those whose vectors point the same way.

        An item's vector is its embedding; that of a NeuMF is the embeddings of its GMF and of its
        MLP, side by side.

        Parameters
        ----------
        item : str or int
            Raw id.
        k : int
            Items at most.

        Returns
        -------
        DataFrame
            ``rank`` from 1, ``item_id``, ``title`` (where known), ``similarity`` (cosine, in
            [-1, 1]).

        Raises
        ------
        UsageError
            ``k`` is less than 1.
        RequestError
            The model does not know the item.

        Examples
        --------
        >>> bundle.similar_items("film 0", k=3).columns.tolist()
        ['rank', 'item_id', 'title', 'similarity']
        """
        check_k(k)
        (raw,) = raw_ids(item, "item")
        items = self._opened.items
        index = items.index(raw)
        if index is None:
            raise RequestError(
                f"unknown item {raw!r}",
                remedy="give an id that the ratings had",
                code="unknown_item",
                http_status=404,
            )
        found, cosines = most_similar(self._vectors, index, k)
        return pd.DataFrame(
            {
                Columns.RANK: np.arange(1, found.size + 1),
                Columns.ITEM_ID: [items.raw[each] for each in found.tolist()],
                Columns.TITLE: [items.title(each) for each in found.tolist()],
                "similarity": cosines,
            }
        )

    def _lists(self, users: list[str], wishes: Wishes) -> Iterator[Iterator[tuple[Any, ...]]]:
        waiting = iter(users)
        while block := [Request(user, wishes) for user in islice(waiting, _USERS_AT_ONCE)]:
            for found in self._recommender.recommend_all(block):
                if isinstance(found, NcfError):
                    raise found
                yield _rows(found)

    @cached_property
    def _recommender(self) -> Recommender:
        return Recommender(self._opened, ExactRanker.open(self._opened))

    @cached_property
    def _pair_session(self) -> "ort.InferenceSession":
        return open_cpu(self._opened.score_graph)

    @cached_property
    def _vectors(self) -> Vectors:
        return item_vectors(self._opened)


def open_bundle(path: Place) -> Bundle:
    """Open a bundle; every digest is checked before anything is read.

    Parameters
    ----------
    path : str or Path
        Folder that :func:`ncf.export` made.

    Raises
    ------
    ArtifactError
        A file is missing, extra or damaged, or the schema is of another version.

    Examples
    --------
    >>> ncf.open_bundle("model_store/mine")
    Bundle('model_store/mine': gmf, 40 users, 30 items)
    """
    return Bundle(open_folder(folder(path, "bundle")))


def export(
    model: "Model | Place",
    data: "Data | Place",
    *,
    out: Place = "model_store",
    name: str = "ncf",
    version: str = "1.0",
    cold_user: str = "popular",
    screen: bool = True,
) -> Bundle:
    """Export a bundle and a ``.mar``: ONNX graphs proven equal to the model, ids, digests.

    Parameters
    ----------
    model : Model, str or Path
        What :func:`ncf.train` made, or its folder.
    data : Data, str or Path
        What it was trained on.
    out : str or Path
        Folder of exported models.
    name : str
        Of the model: the bundle is ``out/name``, the archive ``out/name.mar``.
    version : str
        Of the model, for TorchServe: digits and points.
    cold_user : {"popular", "error"}
        What users get whom the model does not know.
    screen : bool
        Also write a fast, screened top-K graph, if it pays.

    Raises
    ------
    ParityError
        A graph and PyTorch disagree; nothing is published.
    ArtifactError
        The model was trained on other data.
    UsageError
        The name or the version is malformed.

    Examples
    --------
    >>> ncf.export(model, data, out="model_store", name="again")
    Bundle('model_store/again': gmf, 40 users, 30 items)
    """
    from export.publish import publish  # needs PyTorch, which a bundle does not

    store = folder(out, "out")
    source = _source(model, data, chosen(ColdUser, cold_user, "cold_user"), screen=screen)
    found = publish(source, store, name, version)
    places = {"bundle": str(store / name), "archive": str(store / f"{name}.mar")}
    return Bundle(open_folder(store / name), Figures({**places, **found}))


def export_triton(
    model: "Model | Place",
    data: "Data | Place",
    *,
    out: Place,
    name: str = "ncf",
    k: int | None = None,
) -> Figures:
    """Write a Triton model repository: the top-K graph, seen items inside.

    Parameters
    ----------
    model, data
        As for :func:`ncf.export`.
    out : str or Path
        The repository.
    name : str
        Of the model.
    k : int, optional
        Length of every answer; 100, or all items, if not given.

    Raises
    ------
    ParityError
        The graph and PyTorch disagree; nothing is written.
    ArtifactError
        The model was trained on other data, or is too large for one graph.
    UsageError
        The name is malformed, or ``k`` is under 1 or above the catalogue.

    Examples
    --------
    >>> ncf.export_triton(model, data, out="triton", k=5)["repository"]
    'triton/ncf'
    """
    from export.triton import write_repository  # needs PyTorch

    source = _source(model, data)
    length = min(100, len(source.data.items)) if k is None else k
    return Figures(write_repository(source, folder(out, "out"), name, length))


def _source(
    model: "Model | Place",
    data: "Data | Place",
    cold_user: ColdUser = ColdUser.POPULAR,
    *,
    screen: bool = True,
) -> Any:  # noqa: ANN401 - its module needs PyTorch
    from export.bundle import Source
    from ncf.api.data import as_data
    from ncf.api.models import as_model

    return Source(as_model(model).checkpoint, as_data(data).prepared, cold_user, screen)


def _rows(found: Recommendation) -> Iterator[tuple[Any, ...]]:
    for rank, each in enumerate(found.items, 1):
        yield found.user, rank, each.item, each.title, each.score, found.policy.value


def _lists_frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    names = (Columns.USER_ID, Columns.RANK, Columns.ITEM_ID, Columns.TITLE, Columns.SCORE)
    frame = pd.DataFrame(rows, columns=[*names, Columns.POLICY])
    return frame.astype({Columns.RANK: np.int64, Columns.SCORE: np.float64})


def _pairs(pairs: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as score declares it
    if not isinstance(pairs, Frame):
        listed = list(pairs)
        columns = ([pair[0] for pair in listed], [pair[1] for pair in listed])
        names = (Columns.USER_ID, Columns.ITEM_ID)
        pairs = pd.DataFrame(dict(zip(names, columns, strict=True)), dtype=object)
    return read_ids_of(pairs, Columns.USER_ID), read_ids_of(pairs, Columns.ITEM_ID)
