"""Put a page together: one file that fetches nothing, and may fetch nothing."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files

from ncf.pages.html import Html, tag

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing is fetched


def section(title: str, *children: str | None) -> Html:
    """Write a section with a heading."""
    return tag("section", tag("h2", title), *children)


def tiles(figures: Mapping[str, str]) -> Html:
    """Write the few figures that are looked at first."""
    found = (
        tag("div", tag("b", value), tag("span", name), class_="tile")
        for name, value in figures.items()
    )
    return tag("div", *found, class_="tiles")


def page(
    title: str, sections: Sequence[str | None], data: Mapping[str, object] | None = None
) -> bytes:
    """Write a page.

    Parameters
    ----------
    title : str
        Title of the page.
    sections : sequence of Html
        What is on it.
    data : mapping, optional
        What the script searches in: ``items`` and ``users``.

    Returns
    -------
    bytes
        HTML in UTF-8. Its policy lets a browser run this script alone, and fetch nothing.

    Examples
    --------
    >>> page("Table", [section("Gates", "all passed")]).startswith(b"<!doctype html>")
    True
    """
    style, script = (_part(name) for name in ("page.css", "page.js"))
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"{_POLICY}; script-src 'sha256-{allowed}'"
    head = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html('<link rel="icon" href="data:,">'),
        tag("title", title),
        tag("style", Html(style)),
    ]
    scripts = []
    if data is not None:
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        # Within a script an element ends at "</", whatever it is in JSON.
        scripts = [
            tag("script", Html(text.replace("<", "\\u003c")), type="application/json", id="data"),
            tag("script", Html(script)),
        ]
    body = tag("body", tag("main", *sections), *scripts)
    return f"<!doctype html>\n{tag('html', tag('head', *head), body, lang='en')}\n".encode()


def _part(name: str) -> str:
    return files("ncf.pages").joinpath(name).read_text(encoding="utf-8")
