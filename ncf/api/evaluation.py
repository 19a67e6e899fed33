"""Evaluate a trained model on the test part."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ncf.api.data import Data, as_data
from ncf.api.devices import torch_device
from ncf.api.figures import lines_of
from ncf.api.models import Model, as_model
from ncf.api.options import Place, chosen
from ncf.api.titles import TITLES, at_k
from ncf.data.prepared import PreparedData
from ncf.devices import Device, usable_cores
from ncf.errors import UsageError
from ncf.evaluation.cold import cold_full, cold_sampled, trained_cases, untrained
from ncf.evaluation.full_ranking import Panel, full
from ncf.evaluation.metrics import check_length, gains, hits, summarise
from ncf.evaluation.names import Protocol
from ncf.evaluation.protocols import sampled_ranks
from ncf.evaluation.segments import by_history
from ncf.training.checkpoint import Checkpoint
from ncf.training.rankers import lists_of, scorer_of

if TYPE_CHECKING:
    import pandas as pd


class Evaluation:
    """Figures of a model on the test part, by one protocol, for one or several K.

    Parameters
    ----------
    document : mapping
        The protocol, counts of cases and users, and a row of ``metrics`` for each K.

    Examples
    --------
    >>> ncf.evaluate(model, data, k=[1, 5]).frame()[["protocol", "k"]]
      protocol  k
    0  sampled  1
    1  sampled  5
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)

    def __repr__(self) -> str:
        return "\n".join(lines_of(self.readable()))

    def readable(self) -> dict[str, Any]:
        """Name the figures ``NAME@K (protocol)``, and write each with its standard error."""
        protocol, rows = self.document["protocol"], self.document["metrics"]
        lines = {
            name: value
            for name, value in self.document.items()
            if name not in {"metrics", "segments"}
        }
        for row in rows:
            for name, title in TITLES.items():
                if name in row:
                    error = f" ± {row[f'{name}_se']:.4f}" if f"{name}_se" in row else ""
                    lines[at_k(title, row["k"], protocol)] = f"{row[name]:.4f}{error}"
            if row.get("short_lists"):
                lines[f"lists shorter than {row['k']}"] = row["short_lists"]
        if (cold := lines.pop("cold", None)) is not None:
            lines |= _readable_cold(cold, protocol)
        return lines

    def segments(self) -> "pd.DataFrame":
        """Make a frame of figures by length of the users' histories, a row for each K and segment.

        Examples
        --------
        >>> ncf.evaluate(model, data).segments()[["k", "history", "users"]]
            k history  users
        0  10     5-9     32
        1  10   10-19      8
        """
        import pandas as pd  # loaded only for a frame

        return pd.DataFrame(self.document["segments"])

    def frame(self) -> "pd.DataFrame":
        """Make a frame with a row for each K: figures, and their standard errors as ``NAME_se``."""
        import pandas as pd  # loaded only for a frame

        frame = pd.DataFrame(self.document["metrics"])
        frame.insert(0, "protocol", self.document["protocol"])
        return frame


def evaluate(
    model: Model | Place,
    data: Data | Place,
    *,
    protocol: str | None = None,
    k: int | Sequence[int] = 10,
    device: str = "auto",
    max_users: int | None = None,
) -> Evaluation:
    """Measure a model on the test part, with standard errors.

    The sampled protocol gives HR, NDCG and MRR among a few sampled negatives. The full protocol
    ranks all items except those of training and validation, and also gives recall, precision,
    coverage and novelty. Figures of the two are not comparable. Users without a training pair are
    left out, and counted apart under ``cold``, with figures of popularity; in a given split they
    stay in, as others measure, and are counted.

    Parameters
    ----------
    model : Model, str or Path
        Model from :func:`ncf.train`, or its folder.
    data : Data, str or Path
        Data that it was trained on.
    protocol : {"sampled", "full"}, optional
        Rank against sampled items, or the whole catalogue; ``sampled`` if not given, and ``full``
        for a given split, which has no sampled items.
    k : int or sequence of int
        Length of the list, one or several.
    device : {"auto", "cpu", "cuda"}
        Device that computes.
    max_users : int, optional
        Rank for at most so many users by the full protocol, taken evenly; always the same ones.

    Raises
    ------
    UsageError
        A length is less than 1, or there is no case to evaluate.
    ArtifactError
        The model was trained on other data.

    Examples
    --------
    >>> report = ncf.evaluate(model, data, protocol="full", k=5)
    >>> report  # doctest: +ELLIPSIS
    protocol               full
    weights                honest
    users                  40
    ...
    HR@5 (full)            0...
    """
    where = chosen(Device, device, "device")
    lengths = sorted({k} if isinstance(k, int) else set(k))
    trained, given = as_model(model).checkpoint, as_data(data).prepared
    trained.require_data(given)
    trained.require_honest()
    check_length(*lengths)
    wanted = protocol_of(protocol, given)
    check_users(max_users, wanted)
    if wanted is Protocol.SAMPLED:
        document = _sampled(trained, given, lengths, where)
    else:
        document = _full(trained, given, lengths, where, max_users)
    return Evaluation({"protocol": document.pop("protocol"), "weights": "honest", **document})


def protocol_of(protocol: str | None, data: PreparedData) -> Protocol:
    """Find the protocol to measure by.

    Raises
    ------
    UsageError
        The sampled protocol is asked for, and the test cases have no sampled items.
    """
    if protocol is None:
        return Protocol.SAMPLED if data.has_negatives else Protocol.FULL
    wanted = chosen(Protocol, protocol, "protocol")
    if wanted is Protocol.SAMPLED and not data.has_negatives:
        raise UsageError(
            "the test cases of a given split have no sampled items",
            remedy='use `protocol="full"`',
        )
    return wanted


def check_users(max_users: int | None, protocol: Protocol) -> None:
    """Check how many users to rank for.

    Raises
    ------
    UsageError
        There are none, or all cases of the sampled protocol are measured anyway.
    """
    if max_users is not None and max_users < 1:
        raise UsageError(f"`max_users` {max_users} is less than 1")
    if max_users is not None and protocol is Protocol.SAMPLED:
        raise UsageError(
            "`max_users` goes with the full protocol",
            remedy='use `protocol="full"`, or leave it out',
        )


def _readable_cold(cold: Mapping[str, Any], protocol: str) -> dict[str, Any]:
    """Name the figures of users without a training pair, who are listed the popular items."""
    lines = {"users without a training pair": f"{cold['users']}, left out; by popularity:"}
    for row in cold["metrics"]:
        for name in ("hr", "ndcg"):
            title = f"{TITLES[name]} of those"
            error = f" ± {row[f'{name}_se']:.4f}"
            lines[at_k(title, row["k"], protocol)] = f"{row[name]:.4f}{error}"
    return lines


def _sampled(
    trained: Checkpoint, data: PreparedData, lengths: Sequence[int], device: Device
) -> dict[str, Any]:
    found = sampled_ranks(scorer_of(trained, torch_device(device)), trained_cases(data))
    rows = [asdict(summarise(found, k)) for k in lengths]
    shared = {name: rows[0][name] for name in ("protocol", "cases", "users", "unranked")}
    metrics = [{name: row[name] for name in row if name not in shared} for row in rows]
    history = np.bincount(data.train.users, minlength=len(data.users))
    segments = [
        {"k": k, **row}
        for k in lengths
        for row in by_history(
            {"hr": hits(found.ranks, k), "ndcg": gains(found.ranks, k)}, found.users, history
        )
    ]
    found_all = {**shared, "metrics": metrics, "segments": segments}
    return _with_cold(found_all, cold_sampled(data, lengths))


def _full(
    trained: Checkpoint,
    data: PreparedData,
    lengths: Sequence[int],
    device: Device,
    max_users: int | None,
) -> dict[str, Any]:
    everyone = Panel.of(data)
    panel = everyone.at_most(max_users or everyone.users.size)
    with ThreadPoolExecutor(usable_cores()) as pool:
        rank = lists_of(trained, panel.seen, device, pool)
        found = asdict(full(rank, data, panel, lengths))
    if panel is not everyone:
        found["users_to_measure"] = everyone.users.size
    return _with_cold({**found, **untrained(data)}, cold_full(data, lengths))


def _with_cold(found: dict[str, Any], cold: dict[str, Any] | None) -> dict[str, Any]:
    return found if cold is None else {**found, "cold": cold}
