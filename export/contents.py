"""Write the files of a bundle that follow from weights, ids and interactions alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ncf.arrays import new_npy
from ncf.columns import Columns
from ncf.data.tables import write_id_table
from ncf.graphs.score import write_score_graph
from ncf.graphs.topk import FORMS, topk_graph, user_rows
from ncf.graphs.tower import branches, row_width
from ncf.identifiers import IdMap, write_id_maps
from ncf.models.weights import Weights
from ncf.scoring import bundle as files


@dataclass(frozen=True)
class Contents:
    """What a bundle is made of.

    Parameters
    ----------
    weights : dict
        Weights of a GMF, an MLP or a NeuMF.
    users, items : IdMap
        Raw ids by index, and titles.
    seen : scipy.sparse.csr_array of shape (users, items)
        What users have seen.
    popular : int32 array of shape (items,)
        Item indices, most popular first.
    cold : int64 array
        Indices of users without a training pair, ascending.
    """

    weights: Weights
    users: IdMap
    items: IdMap
    seen: sparse.csr_array
    popular: npt.NDArray[np.int32]
    cold: npt.NDArray[np.int64]


def write_contents(contents: Contents, folder: Path) -> None:
    """Write graphs, user rows, ids, seen items and popularity into a folder."""
    write_score_graph(contents.weights, folder / files.SCORE_GRAPH)
    for name, content in topk_graphs(contents.weights).items():
        (folder / name).write_bytes(content)
    write_user_rows(contents.weights, folder / files.USER_ROWS_FILE)
    write_id_table(folder / files.USERS_FILE, contents.users, Columns.USER_ID)
    write_id_table(folder / files.ITEMS_FILE, contents.items, Columns.ITEM_ID)
    write_id_maps(folder / files.IDS_FILE, {"users": contents.users, "items": contents.items})
    write_pairs(contents.seen, folder / files.SEEN_FILE)
    np.save(folder / files.POPULAR_FILE, contents.popular)
    if contents.cold.size:
        np.save(folder / files.COLD_FILE, contents.cold)


def topk_graphs(weights: Weights) -> dict[str, bytes]:
    """Build both forms of the top-K graph, by their file names in a bundle."""
    return {name: topk_graph(weights, FORMS[device]) for device, name in files.TOPK_GRAPHS.items()}


def write_user_rows(weights: Weights, path: Path) -> None:
    """Write the rows of all users, a block at a time."""
    n_users = len(weights[f"{branches(weights)[0]}.user.weight"])
    rows = new_npy(path, np.float32, (n_users, row_width(weights)))
    start = 0
    for part in user_rows(weights):
        rows[start : start + len(part)] = part
        start += len(part)
    rows.flush()


def write_pairs(pairs: sparse.csr_array, path: Path) -> None:
    """Write pairs; not compressed, as the bytes of zlib differ between its versions."""
    sparse.save_npz(path, pairs, compressed=False)


def by_popularity(counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Order item indices from the most to the least interacted with; ties by ascending index."""
    return np.argsort(-counts, kind="stable").astype(np.int32)
