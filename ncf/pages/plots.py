"""Draw plots as SVG, in the colours of the page; each says in words what it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ncf.pages.html import Html, shown, tag

Values = Sequence[float | None]

_WIDTH, _HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 16, 56
_TICKS = 5


@dataclass(frozen=True)
class Axes:
    """The axes of a plot.

    Parameters
    ----------
    title : str
        What the plot shows.
    x, y : str
        Names of the axes.
    across, up : tuple of float
        Ranges of the axes.
    """

    title: str
    x: str
    y: str
    across: tuple[float, float]
    up: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Place a point."""
        (left, right), (low, high) = self.across, self.up
        wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return (
            round(_LEFT + wide * (x - left) / ((right - left) or 1), 1),
            round(_TOP + tall * (1 - (y - low) / ((high - low) or 1)), 1),
        )


def columns(names: tuple[str, str, str], series: Mapping[str, Sequence[float]]) -> Html:
    """Draw histograms of shares in [0, 1] over one axis, side by side.

    Parameters
    ----------
    names : tuple of str
        What is drawn, and the names of the axes across and up.
    series : mapping
        Counts in equal ranges, by name.

    Examples
    --------
    >>> columns(("Lists", "overlap", "users"), {"lists": [1, 3]}).count("<rect")
    2
    """
    most = max((value for values in series.values() for value in values), default=0)
    axes = Axes(*names, (0, 1), (0, most or 1))
    marks = []
    for number, (name, values) in enumerate(series.items()):
        each = 1 / len(values)
        wide = each / len(series)
        for at, value in enumerate(values):
            begin = at * each + number * wide
            left, top = axes.at(begin, value)
            right, bottom = axes.at(begin + wide, 0)
            marks.append(
                tag(
                    "rect",
                    tag("title", f"{name}, {at * each:.2f} to {(at + 1) * each:.2f}: {value:,.0f}"),
                    x=left,
                    y=top,
                    width=max(0.5, round(right - left - 1, 1)),
                    height=round(bottom - top, 1),
                    class_=f"fill{number}",
                )
            )
    return _figure(axes, marks, list(series))


def curves(
    names: tuple[str, str, str],
    series: Mapping[str, tuple[Sequence[float], Values]],
    *,
    up: tuple[float, float] | None = None,
    mark: float | None = None,
) -> Html:
    """Draw lines; where a value is missing, a line has a gap.

    Parameters
    ----------
    names : tuple of str
        What is drawn, and the names of the axes across and up.
    series : mapping
        Coordinates across and up by name.
    up : tuple of float, optional
        Range of the axis that goes up; that of the values if not given.
    mark : float, optional
        Where to draw a line from top to bottom.

    Examples
    --------
    >>> curves(("Loss", "epoch", "loss"), {"loss": ([1, 2, 3], [0.5, None, 0.3])}).count("<circle")
    2
    """
    across = [float(each) for values, _ in series.values() for each in values]
    heights = [each for _, values in series.values() for each in values if each is not None]
    up = up or (min(heights, default=0), max(heights, default=1))
    axes = Axes(*names, (min(across, default=0), max(across, default=1)), up)
    marks = []
    if mark is not None:
        (left, top), (_, bottom) = axes.at(mark, axes.up[1]), axes.at(mark, axes.up[0])
        marks.append(tag("line", x1=left, x2=left, y1=top, y2=bottom, class_="mark"))
    for number, (name, (places, values)) in enumerate(series.items()):
        pairs = list(zip(places, values, strict=True))
        known = [(at, value) for at, value in pairs if value is not None]
        points = " ".join("{},{}".format(*axes.at(*each)) for each in known)
        marks.append(tag("polyline", points=points, class_=f"line{number}"))
        if len(known) <= 40:
            marks += [_dot(axes, name, number, *each) for each in known]
    return _figure(axes, marks, list(series))


def bars(title: str, values: Mapping[str, float], unit: str = "") -> Html:
    """Draw a bar for each name, as long as its value, with the value beside it.

    Examples
    --------
    >>> "width:50%" in bars("seconds", {"read": 1.0, "score": 2.0}, " s")
    True
    """
    most = max(values.values(), default=0) or 1
    rows = [
        tag(
            "div",
            tag("span", name, class_="name"),
            tag("span", tag("i", style=f"width:{100 * value / most:.4g}%"), class_="bar"),
            tag("span", f"{shown(value)}{unit}", class_="value"),
        )
        for name, value in values.items()
    ]
    return tag("div", *rows, class_="bars", role="img", aria_label=title)


def _dot(axes: Axes, name: str, number: int, at: float, value: float) -> Html:
    x, y = axes.at(at, value)
    text = f"{name}, {shown(float(at))}: {shown(float(value))}"
    return tag("circle", tag("title", text), cx=x, cy=y, r=3, class_=f"fill{number}")


def _figure(axes: Axes, marks: Sequence[Html], names: Sequence[str]) -> Html:
    grid = []
    for value in _ticks(axes.up):
        (left, y), (right, _) = axes.at(axes.across[0], value), axes.at(axes.across[1], value)
        grid.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        grid.append(tag("text", _tick(value), x=left - 6, y=y + 5, text_anchor="end"))
    for value in _ticks(axes.across):
        x, bottom = axes.at(value, axes.up[0])
        anchor = "middle" if value < axes.across[1] else "end"
        grid.append(tag("text", _tick(value), x=x, y=bottom + 20, text_anchor=anchor))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    grid.append(tag("text", axes.x, x=middle, y=_HEIGHT - 8, text_anchor="middle"))
    drawing = tag(
        "svg",
        *grid,
        *marks,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{axes.title}: {axes.y} by {axes.x}",
    )
    several = [
        tag("span", tag("i", class_=f"key fill{number}"), name) for number, name in enumerate(names)
    ]
    legend = tag("div", *several, class_="legend") if len(names) > 1 else None
    return tag("figure", tag("figcaption", axes.title), drawing, legend)


def _ticks(limits: tuple[float, float]) -> list[float]:
    """Spread marks over a range; between whole numbers that are far apart, whole ones alone."""
    low, high = limits
    values = [low + (high - low) * step / (_TICKS - 1) for step in range(_TICKS)]
    whole = low == int(low) and high == int(high) and high - low >= _TICKS - 1
    return sorted({float(round(value)) for value in values} if whole else set(values))


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
