"""Load for a while, with new bundles, killed workers and clients that vanish.

``NCF_SOAK_SECONDS=600 make soak`` is the long one; 'make test-all' runs a short one.
"""

import itertools
import json
import os
import random
import shutil
import signal
import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from handlers.service import Service
from ncf.scoring.bundle import Bundle
from tests.serving.ours import Ours, serving_ours
from tests.serving.test_hostile_clients import connect, head
from tests.serving.test_our_server import swap

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("asgi")]

SECONDS = float(os.environ.get("NCF_SOAK_SECONDS", "40"))
CLIENTS, WORKERS = 32, 2
USERS = [f"u{number}" for number in range(40)] + ["stranger"]
_MIB = 1 << 20


def _body(user: str) -> bytes:
    return json.dumps({"user": user, "k": 5}).encode()


def _expected(bundles: list[Bundle]) -> dict[tuple[str, str], bytes]:
    found = {}
    for bundle in bundles:
        with Service(bundle.path) as service:
            for user in USERS:
                found[user, service.model] = service.answer([{"body": _body(user)}])[0][0].body
    return found


class _Soak:
    """The clients of a soak, and what became of their requests."""

    def __init__(self, ours: Ours, expected: dict[tuple[str, str], bytes]) -> None:
        self.ours = ours
        self.expected = expected
        self.done = threading.Event()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def ask(self, number: int) -> None:
        for turn in itertools.count(number):
            if self.done.is_set():
                return
            user = USERS[turn % len(USERS)]
            try:
                # Spaces make other bytes of the same request: it is scored, not remembered.
                answer = self.ours.post(_body(user) + b" " * (number % 2 * turn % 900))
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                self.counts["lost"] += 1  # with a worker that was killed, maybe after the head
                continue
            self.counts[str(answer.status_code)] += 1
            if answer.status_code == 200:
                if self.expected[user, answer.json()["model"]] != answer.content:
                    self.wrong.append(answer.text)
            elif not answer.json()["error"]["code"]:
                self.wrong.append(answer.text)

    def vanish(self) -> None:
        rng = random.Random(1)  # noqa: S311 - no secret
        body = _body("u3")
        while not self.done.wait(0.02):
            try:
                with connect(self.ours) as connection:
                    whole = head(len(body)) + body
                    connection.sendall(whole[: rng.randrange(len(whole) + 1)])
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            except OSError:
                continue


def _memory(ours: Ours) -> float:
    """Largest private memory of a worker, MiB."""
    sizes = []
    for pid in ours.workers():
        try:
            sizes.append(psutil.Process(pid).memory_full_info().uss / _MIB)
        except psutil.Error:
            continue
    return max(sizes, default=0.0)


def test_every_accepted_request_is_answered_right_and_memory_is_flat(
    bundle: Bundle, next_bundle: Bundle, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(bundle.path, store / "ncf")
    memory, reloads, kills = [], 0, 0
    with serving_ours(store, "--workers", str(WORKERS), "--follow", "1") as ours:
        soak = _Soak(ours, _expected([bundle, next_bundle]))
        started = time.monotonic()
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            asking = [pool.submit(soak.ask, number) for number in range(CLIENTS)]
            asking.append(pool.submit(soak.vanish))
            every = min(20.0, SECONDS / 10)
            for step in itertools.count():
                soak.done.wait(every / 2)
                if time.monotonic() - started > SECONDS or any(each.done() for each in asking):
                    break
                if step % 2 == 0:
                    source = (next_bundle, bundle)[reloads % 2].path
                    swap(source, store / "ncf")
                    reloads += 1
                elif step % 6 == 5:
                    os.kill(random.choice(ours.workers()), signal.SIGKILL)  # noqa: S311 - no secret
                    kills += 1
                memory.append(_memory(ours))
            soak.done.set()
        for each in asking:
            each.result()
    took = time.monotonic() - started
    print(  # noqa: T201 - what the soak is for; shown by -s
        f"\n{took:.0f} s, {reloads} reloads, {kills} kills, {dict(soak.counts)}; "
        f"private MiB of the largest worker: {', '.join(f'{each:.0f}' for each in memory)}"
    )
    assert soak.wrong == []
    assert set(soak.counts) <= {"200", "503", "lost"}
    assert soak.counts["200"] > 100 * SECONDS / 2
    # What a killed worker held: at most what all clients had asked it at that moment.
    assert soak.counts["lost"] <= kills * CLIENTS
    early, late = memory[len(memory) // 3], memory[-1]
    assert late < 1.25 * early + 10
