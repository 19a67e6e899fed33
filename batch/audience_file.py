"""Keep the audience of a batch in one file beside its plan, so that no worker reads others."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from batch.audience import Audience, audience_of
from batch.bundles import is_uri
from batch.bundles import opened as open_any
from batch.manifest import FileCounts
from batch.places import Place, closed
from batch.plans import AUDIENCE_FILE, SHARED, Plan
from batch.selection import Selection
from ncf.arrays import map_npz
from ncf.errors import ArtifactError
from ncf.files import sha256
from ncf.identifiers import Texts
from ncf.scoring.bundle import Bundle
from ncf.scoring.seen import Fresh, Seen

Arrays = dict[str, npt.NDArray[Any]]


def audience_bytes(selection: Selection) -> bytes:
    """Write a selection as arrays; equal ones give equal bytes."""
    unknown = Texts.pack(selection.unknown)
    arrays: Arrays = {
        "folded": selection.folded,
        "unranked": selection.unranked,
        "refreshed": selection.refreshed,
        "unknown_bytes": unknown.content,
        "unknown_ends": unknown.ends,
        "items": selection.items,
        **_fresh_arrays("since", selection.since),
    }
    if selection.chosen is not None:
        arrays["chosen"] = selection.chosen
    if selection.refused is not None:
        arrays |= _fresh_arrays("refused", selection.refused)
    content = BytesIO()
    # Not compressed: it can be memory-mapped, and zlib's versions give different bytes.
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def read_audience_file(path: Path, bundle: Bundle, counts: FileCounts) -> Audience:
    """Read the audience back; the caller has checked the digest of the file."""
    arrays = map_npz(path)
    since = _fresh(arrays, "since", bundle.n_items)
    if since is None:
        raise ValueError("has no interactions, not even none")
    selection = Selection(
        chosen=arrays.get("chosen"),
        folded=arrays["folded"],
        unranked=arrays["unranked"],
        refreshed=arrays["refreshed"],
        unknown=Texts(arrays["unknown_bytes"], arrays["unknown_ends"]),
        items=arrays["items"],
        since=since,
        refused=_fresh(arrays, "refused", bundle.n_items),
        counts=counts,
    )
    return audience_of(bundle, selection)


def open_audience(place: Place, plan: Plan, bundle: str | Path | None = None) -> Audience:
    """Open a plan's bundle, and read its audience from the file beside the plan.

    Raises
    ------
    ArtifactError
        The bundle is another than the plan's, or the file is damaged.
    """
    opened = require_bundle(plan, opened_bundle(plan, bundle))
    where = f"{place.runs.root}/{SHARED}/{AUDIENCE_FILE}"
    try:
        with place.local(AUDIENCE_FILE) as path:
            if sha256(path) != plan.audience:
                raise ArtifactError(
                    "bytes differ from the plan's SHA-256", where=where, remedy="plan again"
                )
            return read_audience_file(path, opened, plan.counts)
    except FileNotFoundError as error:
        raise closed(place, plan) from error


def opened_bundle(plan: Plan, bundle: str | Path | None = None) -> Bundle:
    """Open a plan's bundle where the plan says that it is, or elsewhere.

    Raises
    ------
    ArtifactError
        It is damaged, or not on this machine.
    """
    where = bundle or plan.bundle
    if not is_uri(where) and not Path(where).is_dir():
        raise ArtifactError(
            "the plan's bundle is not here",
            where=where,
            remedy="put it there, or plan again with a folder that all machines see, or a URI",
        )
    return open_any(where, plan.asked.inputs["bundle"])


def require_bundle(plan: Plan, bundle: Bundle) -> Bundle:
    """Refuse another bundle than the plan's.

    Raises
    ------
    ArtifactError
        It is another.
    """
    if bundle.digest != (wanted := plan.asked.inputs["bundle"]):
        raise ArtifactError(
            f"is another bundle ({bundle.digest[:8]}) than the plan's ({wanted[:8]})",
            where=bundle.path,
            remedy="give the plan's bundle, or plan again",
        )
    return bundle


def _fresh_arrays(name: str, fresh: Fresh) -> Arrays:
    return {
        f"{name}_users": fresh.users,
        f"{name}_starts": np.asarray(fresh.seen.starts),
        f"{name}_items": np.asarray(fresh.seen.items),
    }


def _fresh(arrays: Arrays, name: str, n_items: int) -> Fresh | None:
    if f"{name}_users" not in arrays:
        return None
    seen = Seen(arrays[f"{name}_starts"], arrays[f"{name}_items"], n_items)
    return Fresh(arrays[f"{name}_users"], seen)
