"""Run a command of ``ncf`` on a Ray cluster of this machine, and take a node away meanwhile.

``python -m tests.engines.rehearsal OUT FAULT WORD...`` with the Python of ``.engines/ray``, in a
network namespace that has ``lo`` alone: a head without CPUs and two nodes of one CPU each. When
three parts are made, one node is killed or frozen, with all its processes. Prints a JSON object.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from ray.cluster_utils import Cluster

from batch.engines.ray_driver import SETTINGS

_SLOW = Path(__file__).parent / "slow"
_PARTS = 3
_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


def main(out: Path, fault: str, words: list[str]) -> None:
    """Start the cluster, run the command, take a node away, tell what happened."""
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ["PYTHONPATH"] = str(_SLOW)
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        started = time.monotonic()
        os.environ["RAY_TMPDIR"] = folder
        head = {"num_cpus": 0, "_system_config": SETTINGS}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        told: dict[str, object] = {"cluster": time.monotonic() - started}
        pid = os.getpid()
        try:
            told |= _run(out, fault, [*words, "--address", cluster.address], nodes)
        finally:
            for each in psutil.Process(pid).children(recursive=True):
                each.kill()
        sys.stdout.write(json.dumps(told))
        sys.stdout.flush()
        os._exit(0)  # Ray would stop what is gone


def _run(out: Path, fault: str, words: list[str], nodes: list[object]) -> dict[str, object]:
    begun = time.monotonic()
    command = subprocess.Popen(
        [sys.executable, "-c", "from ncf.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    hit = begun
    if fault in _SIGNALS:
        while _receipts(out) < _PARTS and command.poll() is None:
            time.sleep(0.05)
        for process in _processes(nodes[0]):
            process.send_signal(_SIGNALS[fault])
        hit = time.monotonic()
    said = command.communicate(timeout=240)
    return {
        "code": command.returncode,
        "out": said[0],
        "err": said[1],
        "seconds": time.monotonic() - begun,
        "after": time.monotonic() - hit,
        "receipts": _receipts(out),
    }


def _processes(node: object) -> list[psutil.Process]:
    """All processes of a node: those that Ray started for it, and theirs."""
    started = [info.process.pid for kind in node.all_processes.values() for info in kind]  # type: ignore[attr-defined]
    found = [psutil.Process(pid) for pid in started]
    return [*found, *(child for each in found for child in each.children(recursive=True))]


def _receipts(out: Path) -> int:
    return len(list(out.glob(".ncf-batch/*/receipts/*")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
