"""Answer what :mod:`batch.engines.ray` asks: speak with Ray, in a process of its own."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from batch.engines.errands import error_of
from batch.engines.ray_cluster import SETTINGS, Answer, Connection, Fault, Left
from ncf.errors import NcfError
from ncf.records import json_values


def main() -> None:
    """Answer requests on standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Ray prints is no answer of ours
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name, value in SETTINGS.items():
        os.environ.setdefault(f"RAY_{name}", str(value))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    requests = _Requests()

    def answer(values: dict[str, Any]) -> None:
        answers.write(f"{json.dumps(values)}\n")
        answers.flush()

    logging.basicConfig(level=logging.WARNING, handlers=[_Told(answer)])
    connection = Connection(answer)
    try:
        for request in requests:
            try:
                for receipt in connection.run(request, requests.left):
                    answer({"receipt": json_values(receipt)})
            except (NcfError, OSError) as error:
                answer(error_of(error))
            except Fault as fault:
                answer({"fault": str(fault)})
            answer({"end": True})
    except (Left, BrokenPipeError):
        pass
    finally:
        connection.close()


class _Told(logging.Handler):
    """Sends warnings to the process that asks."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def emit(self, record: logging.LogRecord) -> None:
        """Send one of ours; Ray's go where it prints."""
        if record.name.startswith("batch."):
            self._answer({"log": record.getMessage()})


@dataclass
class _Requests:
    """Lines of standard input, which a thread reads, so that its end is seen at any time."""

    left: threading.Event = field(default_factory=threading.Event)
    _lines: "Queue[str | None]" = field(default_factory=Queue)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        threading.Thread(target=self._read, daemon=True).start()
        while (line := self._lines.get()) is not None:
            yield json.loads(line)

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        self.left.set()
        self._lines.put(None)
