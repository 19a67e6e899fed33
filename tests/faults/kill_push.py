"""Push a run, and kill this process before a given word to the server.

python -m tests.faults.kill_push URI RUN HOW WORD
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import deltalake
import psycopg
import redis

import ncf
from batch.push import delta

COUNTED = {
    psycopg.Connection: ("wait",),  # every round trip: statements, BEGIN, COMMIT, copied data
    redis.connection.AbstractConnection: ("send_packed_command",),
    deltalake.DeltaTable: ("history", "merge"),
}


def main() -> None:
    """Push, or die."""
    uri, run, how, word = sys.argv[1:]
    left = int(word)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return call(*arguments, **named)

        return counting

    for owner, names in COUNTED.items():
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))
    delta.write_deltalake = counted(deltalake.write_deltalake)  # type: ignore[attr-defined]
    ncf.push(uri, run, whole=how == "whole", swap=how == "swap")


if __name__ == "__main__":
    main()
