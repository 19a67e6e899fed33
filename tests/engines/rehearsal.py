"""Run commands of ``ncf`` on a Ray cluster of this machine, and take nodes away meanwhile.

``python -m tests.engines.rehearsal FILE`` with the Python of ``.engines/ray``, in a network
namespace that has ``lo`` alone, where FILE has ``cpus``, one number a node beside a head without
CPUs, and ``commands``, each with ``words``, ``out`` and ``fault``: ``none``, or ``kill`` or
``freeze`` the first node, or ``behead`` the cluster, once three parts are made. Prints JSON.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from batch.engines.ray_cluster import SETTINGS

_PARTS = 3
_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "behead": signal.SIGKILL}
_STARTED = set[psutil.Process]()  # a node that dies leaves its agents to nobody
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


def main(asked: dict[str, Any]) -> None:
    """Start the cluster, run the commands, take nodes away, tell what happened."""
    os.environ |= _LOOPBACK
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        os.environ["RAY_TMPDIR"] = folder
        head = {"num_cpus": 0, "_system_config": SETTINGS}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        nodes = [cluster.add_node(num_cpus=cpus) for cpus in asked["cpus"]]
        try:
            told = [_run(each, cluster, nodes) for each in asked["commands"]]
        finally:
            _STARTED.update(psutil.Process().children(recursive=True))
            for process in _STARTED:
                with suppress(psutil.Error):
                    process.kill()
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # Ray would stop what is gone


def _run(asked: dict[str, Any], cluster: Any, nodes: list[Any]) -> dict[str, object]:  # noqa: ANN401 - Ray has no types
    address = ["--engine", "ray", "--address", cluster.address]
    command = subprocess.Popen(
        [sys.executable, "-c", "from ncf.cli import main; main()", *asked["words"], *address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **asked.get("env", {})},
        text=True,
    )
    begun = hit = time.monotonic()
    if (fault := asked["fault"]) in _SIGNALS:
        while _receipts(asked["out"]) < _PARTS and command.poll() is None:
            time.sleep(0.05)
        _STARTED.update(psutil.Process().children(recursive=True))
        for process in _processes(cluster.head_node if fault == "behead" else nodes[0]):
            process.send_signal(_SIGNALS[fault])
        hit = time.monotonic()
    out, err = command.communicate(timeout=240)
    seconds = time.monotonic() - begun, time.monotonic() - hit
    return {"code": command.returncode, "out": out, "err": err, "seconds": seconds}


def _processes(node: Any) -> list[psutil.Process]:  # noqa: ANN401 - Ray has no types
    """All processes of a node: those that Ray started for it, and theirs."""
    started = [info.process.pid for kind in node.all_processes.values() for info in kind]
    found = [psutil.Process(pid) for pid in started if psutil.pid_exists(pid)]
    return [*found, *(child for each in found for child in each.children(recursive=True))]


def _receipts(out: str) -> int:
    return len(list(Path(out).glob(".ncf-batch/*/receipts/*")))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
