"""Write the sections of a report about what changed: figures, plots, items and users."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from batch.diff import Look
from batch.matching import Matching
from batch.profile import lorenz
from ncf.pages.html import Html, shown, table, tag
from ncf.pages.page import section
from ncf.pages.plots import columns, curves

_FIGURES = {
    "users": "users",
    "rows": "rows",
    "items": "items listed",
    "coverage": "share of the catalogue",
    "gini": "Gini of places",
    "top_percent_share": "places of the top 1 % of items",
    "novelty": "novelty, bits",
    "popular_share": "share of popular lists",
    "constant_lists": "share of constant lists",
    "score_mean": "mean logit",
    "score_deviation": "its deviation",
}
_COUNTS = {
    "kept": "in both tables",
    "added": "new",
    "gone": "gone",
    "same_list": "with the same list in the same order",
    "to_popular": "who lost a list of their own",
    "from_popular": "who got a list of their own",
}
_SHORT = 5  # titles of a list in a table
_POINTS = 50


def changes(look: Look) -> list[Html]:
    """Write the sections; without an earlier run, only those about the table itself."""
    sections = [section("Figures", tag("div", _figures(look), _spread(look), class_="two"))]
    matching = look.matching
    if matching is None:
        return sections
    head = f"Lists of users in both tables, first {matching.k} places"
    sections.append(
        section(head, tag("div", _agreement(matching), _histogram(matching), class_="two"))
    )
    gained, lost = look.moved(max(1, matching.top))
    if gained or lost:
        both = (_movers("Gained places", gained), _movers("Lost places", lost))
        sections.append(section("Items that moved most", tag("div", *both, class_="two")))
    if changed := matching.changed_lists():
        sections.append(section("Users whose lists changed most", _changed(look, changed)))
    return sections


def _figures(look: Look) -> Html:
    tables = look.figures()
    names = {**_FIGURES}
    rows: list[Sequence[str | None]] = []
    for name, said in names.items():
        values = [each[name] for each in tables]
        rows.append((said, *map(shown, values), *_change(values)))
    for policy in tables[-1]["users_by_policy"]:
        values = [each["users_by_policy"][policy] for each in tables]
        rows.append((f"users by {policy}", *map(shown, values), *_change(values)))
    head = ["", "before", "now", "change"] if len(tables) > 1 else ["", "now"]
    return table(head, rows)


def _change(values: Sequence[float | None]) -> list[str]:
    if len(values) == 1:
        return []
    before, now = values
    if before is None or now is None:
        return [""]
    difference = now - before
    return [f"+{shown(difference)}" if difference > 0 else shown(difference)]


def _spread(look: Look) -> Html:
    size = look.catalogue.size
    names = ("before", "now")[-len(look.profiles) :]
    across = [at / _POINTS for at in range(_POINTS + 1)]
    series = {
        name: (across, lorenz(profile.exposure, size, _POINTS))
        for name, profile in zip(names, look.profiles, strict=True)
    }
    title = "Places by items, the least listed first"
    return curves((title, "share of items", "share of places"), series, up=(0, 1))


def _agreement(matching: Matching) -> Html:
    counts = [(said, shown(matching.users[name])) for name, said in _COUNTS.items()]
    figures = {"overlap": matching.overlap, "rank-biased overlap": matching.rank_biased}
    found = {name: spread.figures() for name, spread in figures.items()}
    head = ["", *next(iter(found.values()))]
    rows = [(name, *(_rounded(value) for value in each.values())) for name, each in found.items()]
    shift: Any = matching.figures()["score_shift"]
    line = None
    if shift["pairs"]:
        text = f"{shift['mean']:+.4f} on average, {shift['mean_absolute']:.4f} without the sign"
        line = tag("p", f"Logits of {shift['pairs']:,} pairs that are in both: {text}.")
    return tag("div", table(["users", ""], counts), table(head, rows), line)


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _histogram(matching: Matching) -> Html:
    bars = min(20, matching.k + 1)
    series = {
        "overlap": matching.overlap.histogram(bars),
        "rank-biased overlap": matching.rank_biased.histogram(bars),
    }
    return columns(("Agreement with the list before", "agreement", "users"), series)


def _movers(title: str, items: list[dict[str, Any]]) -> Html:
    rows = [
        (
            _named(each["item"], each["title"]),
            shown(each["places_a"]),
            shown(each["places_b"]),
            f"{each['change']:+,}",
        )
        for each in items
    ]
    return tag("div", tag("h3", title), table(["item", "before", "now", "change"], rows))


def _changed(look: Look, rows: list[dict[str, Any]]) -> Html:
    raw = look.items.raw
    listed = np.concatenate([row[name][:_SHORT] for row in rows for name in ("items_a", "items_b")])
    codes = sorted(set(listed[listed >= 0].tolist()))
    titles = dict(zip(codes, look.titles([raw[code] for code in codes]), strict=True))

    def best(codes: np.ndarray[Any, np.dtype[np.int64]]) -> str:
        some = [int(code) for code in codes[:_SHORT] if code >= 0]
        return ", ".join(titles[code] or raw[code] for code in some)

    def block(row: dict[str, Any]) -> Html:
        agreed = f"overlap {row['overlap']:.2f}, rank-biased {row['rank_biased_overlap']:.2f}"
        facts = tag("span", f" {agreed}, {_policies(row)}", class_="faint")
        both = [
            tag("p", tag("span", f"{name}: ", class_="faint"), best(row[key]))
            for name, key in (("before", "items_a"), ("now", "items_b"))
        ]
        return tag("div", tag("code", row["user"]), facts, tag("div", *both, class_="two"))

    return tag("div", *map(block, rows), class_="rows")


def _policies(row: Mapping[str, Any]) -> str:
    before, now = row["policy_a"], row["policy_b"]
    return str(now) if before == now else f"{before} → {now}"


def _named(raw: str, title: str | None) -> Html:
    return tag("span", f"{title} " if title else None, tag("code", raw))
