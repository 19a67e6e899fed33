"""The figures of all parts as one page of Markdown."""

from collections.abc import Mapping
from typing import Any


def markdown(results: Mapping[str, Any]) -> str:
    """Write a section a part: how it ended, and a line a row."""
    lines = ["# CUDA", ""]
    for name, part in results.items():
        reason = f": {part['reason']}" if part.get("reason") else ""
        seconds = f" ({part['seconds']} s)" if "seconds" in part else ""
        lines += [f"## {name}: {part['status']}{reason}{seconds}", ""]
        for row in part["rows"]:
            figures = ", ".join(
                f"{key.replace('_', ' ')} {_shown(value)}"
                for key, value in row.items()
                if key != "what" and value not in (None, "")
            )
            lines.append(f"- {row['what']}: {figures}")
        lines.append("")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
