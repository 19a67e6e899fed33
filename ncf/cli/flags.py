"""Show parameters in messages as the options of the running command."""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from typer.core import TyperCommand, TyperGroup

_NAMED = re.compile(r"""`(\w+)(?:=(True|False|"[^"`]*"|[\d.]+))?`""")


class _Parameter(Protocol):
    """The part of an option or argument of a command that is used here."""

    name: str | None
    opts: list[str]
    secondary_opts: list[str]


class Flags(logging.Filter):
    """Replaces parameters in back quotes by options, in log lines and errors."""

    def __init__(self) -> None:
        super().__init__()
        self._command = "ncf COMMAND"
        self._commands: Sequence[Any] = ()

    def use(self, name: str, commands: Sequence[Any]) -> None:
        """Use the options of the running command, or else those of the others.

        Parameters
        ----------
        name : str
            The command as typed, such as ``ncf data prepare``.
        commands : sequence of Command
            The running command, then the root of the tree.
        """
        self._command, self._commands = name, commands

    def shown(self, message: str) -> str:
        """Replace parameters: `` `k` `` by ``-k``, `` `mode="exact"` `` by ``--mode exact``."""
        return _NAMED.sub(self._option, message)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the message of a log line, and let every line pass."""
        record.msg, record.args = self.shown(record.getMessage()), None
        return True

    def _option(self, found: re.Match[str]) -> str:
        name, value = found.groups()
        if name == "help":
            return f"'{self._command} --help'"
        parameters = (each for command in self._commands for each in _parameters(command))
        parameter = next((each for each in parameters if each.name == name), None)
        if parameter is None:
            return found.group()
        option = max(parameter.opts, key=len)
        if not option.startswith("-"):
            option = option.upper()  # an argument, as the usage line shows it
        if value in {"True", "False"}:
            return _switch(option, parameter, on=value == "True")
        return f"{option} {value.strip(chr(34))}" if value else option


def _parameters(command: Any) -> Iterator[_Parameter]:  # noqa: ANN401 - see below
    """Yield the parameters of a command and of those under it."""
    yield from command.params
    for each in getattr(command, "commands", {}).values():
        yield from _parameters(each)


def _switch(option: str, parameter: _Parameter, *, on: bool) -> str:
    if on:
        return option
    return parameter.secondary_opts[0] if parameter.secondary_opts else f"no {option}"


class Command(TyperCommand):
    """A command whose messages name its options."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - see below
        """Run it."""
        _use(ctx, self)
        return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands that may also run alone, and then names its own options."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - see below
        """Run it."""
        _use(ctx, self)
        return super().invoke(ctx)


# Any: the classes of Typer's commands and contexts are not the same in all versions.
def _use(context: Any, command: Any) -> None:  # noqa: ANN401
    flags = context.find_object(Flags)
    if flags is not None:
        flags.use(context.command_path, (command, context.find_root().command))
