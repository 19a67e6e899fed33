"""Commands run as a user types them, but in this process: a hundred of them take seconds."""

import io
import logging
import os
import signal
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from ncf.cli import main
from ncf.errors import BAD_INPUT

Snapshot = dict[str, bytes | None]


class Ended(NamedTuple):
    """Exit code of a command, and what it printed."""

    code: int
    out: str
    err: str


def ncf(*words: object, cwd: Path) -> Ended:
    """Run a command; an exception that is none of the toolkit's own passes through, and fails."""
    root, argv = logging.getLogger(), sys.argv
    handlers, level, terminate = root.handlers, root.level, signal.getsignal(signal.SIGTERM)
    root.handlers, sys.argv, code = [], ["ncf", *map(str, words)], 0
    try:
        with (
            chdir(cwd),
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        root.handlers, sys.argv = handlers, argv
        root.setLevel(level)
        signal.signal(signal.SIGTERM, terminate)
    return Ended(code, out.getvalue(), err.getvalue())


def refused(*words: object, cwd: Path, code: int = BAD_INPUT) -> str:
    """Run a command that must be refused as the contract says, and leave all as it was.

    The exit code (2, or 75 where trying again may help), nothing on standard output, one line on
    standard error that gives a remedy, and every file under ``cwd`` (the last good output among
    them) with the bytes that it had.
    """
    before = snapshot(cwd)
    ended = ncf(*words, cwd=cwd)
    lines = ended.err.splitlines()
    assert (ended.code, ended.out, len(lines)) == (code, "", 1), ended
    assert lines[0].startswith("ncf: "), ended
    assert "; " in lines[0], f"no remedy: {lines[0]}"
    assert snapshot(cwd) == before
    return lines[0]


def done(*words: object, cwd: Path) -> str:
    """Run a command that must succeed; what it printed."""
    ended = ncf(*words, cwd=cwd)
    assert ended.code == 0, ended
    return ended.out


def snapshot(folder: Path) -> Snapshot:
    """Everything under a folder but locks, to the byte."""
    return {
        os.path.relpath(path, folder): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith((".lock", ".lock.pid"))
    }
