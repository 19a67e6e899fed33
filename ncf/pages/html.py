"""Write HTML, with every text escaped unless it is HTML already."""

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


def tag(name: str, *children: str | None, **attributes: object) -> Html:
    """Write an element; attributes that are None are left out.

    Examples
    --------
    >>> tag("p", "2 < 3", tag("b", "!"), class_="said")
    '<p class="said">2 &lt; 3<b>!</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str | None]) -> Html:
    """Join texts and elements."""
    parts = (each if isinstance(each, Html) else escape(each) for each in children if each)
    return Html("".join(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Html:
    """Write a table that scrolls by itself where it is too wide; numbers stand on the right.

    Examples
    --------
    >>> table(["item", "places"], [["Kolya", "1,200"]]).count("number")
    2
    """
    cells = [list(row) for row in rows]
    numeric = [
        bool(column) and all(is_number(cell or "") for cell in column)
        for column in (zip(*cells, strict=True) if cells else [[]] * len(head))
    ]

    def line(kind: str, row: Sequence[str | None]) -> Html:
        classes = ["number" if number else None for number in numeric]
        return tag(
            "tr",
            *(tag(kind, cell, class_=each) for cell, each in zip(row, classes, strict=True)),
        )

    body = tag("tbody", *(line("td", row) for row in cells))
    return tag("div", tag("table", tag("thead", line("th", head)), body), class_="wide")


def is_number(text: str) -> bool:
    """Whether a cell holds a number, or nothing."""
    return not text.strip("+-0123456789.,%e ")


def shown(value: object) -> str:
    """Write a figure as people read it.

    Examples
    --------
    >>> [shown(value) for value in (943, 0.25, 1234567.0, None, True)]
    ['943', '0.25', '1,234,567', '', 'yes']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)
