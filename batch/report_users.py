"""Write the section of a report that searches a sample of users, and what it searches in."""

import math
from typing import Any

from batch.codes import POLICIES
from batch.diff import Look
from batch.sample import Listed
from ncf.pages.html import Html, tag
from ncf.pages.page import section

_HISTORY = 30  # items of a user's history


def users() -> Html:
    """Write the section; the script of the page fills it."""
    note = tag(
        "p",
        "A sample, by a hash of the id. The history is that of the bundle, at its export. "
        "Search by a part of an id, or of a title.",
        class_="faint",
    )
    box = tag("input", id="search", type="search", placeholder="user or title", autocomplete="off")
    label = tag("label", "Search ", box)
    return section("Users", note, label, tag("div", id="found"), tag("div", id="shown"))


class _Items:
    """Numbers items in the order in which they are used, for the page alone."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def of(self, raw: list[str]) -> list[int]:
        return [self.numbers.setdefault(each, len(self.numbers)) for each in raw]


def sampled(look: Look) -> dict[str, Any]:
    """Collect users with history and lists, and the titles of all items among them."""
    before = look.samples[0].lists if len(look.samples) > 1 else {}
    items, raw = _Items(), look.items.raw
    rows = []
    for user, listed in sorted(look.samples[-1].lists.items()):
        old = before.get(user)
        history, taken = _history(look, user)
        rows.append(
            {
                "user": user,
                "policy": POLICIES[listed.policy],
                "history": items.of(history),
                "taken": taken,
                "list": items.of([raw[code] for code in listed.items]),
                "scores": _scores(listed),
                "before": None if old is None else items.of([raw[code] for code in old.items]),
            }
        )
    names = list(items.numbers)
    return {"items": list(zip(names, look.titles(names), strict=True)), "users": rows}


def _history(look: Look, user: str) -> tuple[list[str], int]:
    """Find some of the items that a user has seen, and count them all."""
    bundle = look.bundle
    if bundle is None or (index := int(bundle.users.indices([user])[0])) < 0:
        return [], 0
    seen = bundle.seen.of(index).tolist()
    return [bundle.items.raw[item] for item in seen[:_HISTORY]], len(seen)


def _scores(listed: Listed) -> list[float | None]:
    return [round(score, 4) if math.isfinite(score) else None for score in listed.scores]
