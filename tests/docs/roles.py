"""Roles of docstrings, such as ``:func:`ncf.train```, become links of the site.

Zensical loads this module while it builds (``zensical.toml``).
"""

import re

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?([\w.]+)`")
# Choices are no type: read as one, their quotes and hyphens would go.
_CHOICES = re.compile(r"(?m)^(\w+ : )\{([^}\n]+)\}")
_LITERAL = re.compile(r"``([^`]+)``")


class Roles(griffe.Extension):
    """Turns roles into code, and into links where they name what is public."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Change a docstring as soon as it is read."""
        if obj.docstring is not None:
            text = _CHOICES.sub(r"\1one of \2", obj.docstring.value)
            obj.docstring.value = _LITERAL.sub(r"`\1`", _ROLE.sub(_link, text))


def _link(found: re.Match[str]) -> str:
    name = found.group(1)
    public = re.fullmatch(r"ncf\.[A-Za-z]\w*", name)
    return f"[`{name}`][{name}]" if public else f"`{name}`"
