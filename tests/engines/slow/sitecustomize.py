"""Make parts slowly, or not at all, in the processes of Ray and Spark that make them.

Tests put this folder on PYTHONPATH. ``NCF_TEST_FAULT`` says what goes wrong:

- ``slow``, or nothing: every part takes half a second, or ``NCF_TEST_SECONDS``
- ``versions``: another version of ncf is installed there
- ``bug``: making a part raises
- ``die``: the first process that makes a part dies, before it is written
- ``all-die``: every process dies so
"""

import os
import sys
import time
from importlib import metadata
from pathlib import Path

_WORKERS = ("default_worker.py", "pyspark.daemon")


def _slowly(*words: object) -> object:
    time.sleep(float(os.environ.get("NCF_TEST_SECONDS", "0.5")))
    return _make(*words)


def _bug(*_: object) -> object:
    raise ZeroDivisionError("on purpose")


def _die(*words: object) -> object:
    try:
        Path(os.environ["NCF_TEST_ONCE"]).mkdir()
    except FileExistsError:
        return _make(*words)
    return _all_die()


def _all_die(*_: object) -> object:
    os._exit(9)


def _version(name: str) -> str:
    return "0.0.1" if name == "ncf" else _known(name)


if any(word.endswith(_WORKERS) for word in sys.orig_argv):
    fault = os.environ.get("NCF_TEST_FAULT", "slow")
    if fault == "versions":
        _known = metadata.version
        setattr(metadata, "version", _version)  # noqa: B010 - types know that it is none of ours
    else:
        from batch import sessions

        _make = vars(sessions)["make_part"]
        faults = {"slow": _slowly, "bug": _bug, "die": _die, "all-die": _all_die}
        vars(sessions)["make_part"] = faults[fault]
