"""Prove what this project does on a GPU, in one run without a network, and keep the figures.

    make cuda
    python -m benchmarks.cuda --minutes 8 --out cuda-results

Needs Python 3.11, PyTorch with CUDA and NumPy; what needs more is skipped where it is missing, and
says so. Each part runs in a process of its own, so that none ends another, and each leaves its
figures as it goes: ``cuda.json`` and ``cuda.md`` in the folder of --out.
"""

import argparse
import importlib.util
import json
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.part import Record, Settings, Skipped
from benchmarks.gpu.summary import markdown
from benchmarks.gpu.worlds import make
from ncf.devices import Device
from ncf.files import atomic_file

PARTS = {
    "machine": 1.0,
    "tests": 2.0,
    "parity": 1.5,
    "training": 4.0,
    "blocks": 1.5,
    "ranking": 3.0,
    "peer": 1.5,
    "answers": 1.0,
    "faults": 1.5,
}
"""Parts in order, and the share of the time that each may take."""

_ROOT = Path(__file__).parents[1]
_LEAST_SECONDS = 20.0


def main() -> None:
    """Run the parts one after another; exits 1 where one failed."""
    arguments = _arguments()
    if arguments.part:
        sys.exit(_run_part(arguments))
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    environment = _with_wheels(arguments.wheels, out)
    ends = time.monotonic() + 60 * arguments.minutes
    results: dict[str, Any] = {}
    wanted = [name for name in PARTS if not arguments.only or name in arguments.only]
    results["worlds"] = _worlds(arguments)
    for position, name in enumerate(wanted):
        left = ends - time.monotonic()
        share = PARTS[name] / sum(PARTS[each] for each in wanted[position:])
        seconds = max(_LEAST_SECONDS, left * min(1.0, 1.5 * share))
        results[name] = _part_in_process(name, seconds, arguments, environment)
        print(f"{name}: {results[name]['status']} {results[name].get('reason', '')}", flush=True)
        _publish(out, results)
    _publish(out, results)
    print((out / "cuda.md").read_text())
    sys.exit(any(result["status"] == "failed" for result in results.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--device", type=Device, default=Device.CUDA, help="cpu is a rehearsal")
    parser.add_argument("--out", type=Path, default=Path("cuda-results"))
    parser.add_argument("--worlds", type=Path, default=_ROOT / "worlds", help="exported models")
    parser.add_argument("--wheels", type=Path, help="folder with a wheel of onnxruntime-gpu")
    parser.add_argument("--checkpoint", type=Path, help="a trained model to score with")
    parser.add_argument("--data", type=Path, help="what it was trained on")
    parser.add_argument("--small", action="store_true", help="small sizes, for a rehearsal")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=600.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _with_wheels(wheels: Path | None, out: Path) -> dict[str, str]:
    """Install the wheels of a folder beside the results, and put them first on Python's path."""
    paths = [str(_ROOT)]
    if wheels is not None:
        target = out / "site"
        found = sorted(map(str, wheels.glob("*.whl")))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        subprocess.run([*command, "--upgrade", "--target", str(target), *found], check=True)
        _link_libraries(target)
        paths.insert(0, str(target))
    paths += [path for path in (str(_ROOT / "needs"), os.environ.get("PYTHONPATH", "")) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _link_libraries(target: Path) -> None:
    """Put CUDA's libraries of NVIDIA's wheels where ONNX Runtime looks: beside itself."""
    found = importlib.util.find_spec("nvidia")
    if found is None or not found.submodule_search_locations:
        return
    link = target / "nvidia"
    if not link.exists():
        link.symlink_to(next(iter(found.submodule_search_locations)), target_is_directory=True)


def _worlds(arguments: argparse.Namespace) -> dict[str, Any]:
    started = time.monotonic()
    try:
        make(
            arguments.worlds,
            small=arguments.small,
            checkpoint=arguments.checkpoint,
            data=arguments.data,
        )
    except Skipped as error:
        return {"status": "skipped", "reason": str(error), "rows": []}
    except Exception as error:  # noqa: BLE001 - the parts that need none go on
        traceback.print_exc()
        return {"status": "failed", "reason": _line(error), "rows": []}
    rows = [{"what": "models exported", "seconds": round(time.monotonic() - started, 1)}]
    return {"status": "passed", "rows": rows}


def _part_in_process(
    name: str, seconds: float, arguments: argparse.Namespace, environment: dict[str, str]
) -> dict[str, Any]:
    """Run a part in a process of its own; what it had written before it died is kept."""
    started = time.monotonic()
    command = [
        *(sys.executable, "-m", "benchmarks.cuda", "--part", name, "--seconds", str(seconds)),
        *("--device", arguments.device.value, "--out", str(arguments.out)),
        *("--worlds", str(arguments.worlds)),
        *(["--small"] if arguments.small else []),
    ]
    reason = ""
    try:
        code = subprocess.run(
            command, env=environment, timeout=seconds + 10, check=False, cwd=Path.cwd()
        ).returncode
    except subprocess.TimeoutExpired:
        code, reason = -1, f"took longer than its {seconds:.0f} s"
    path = arguments.out / f"{name}.json"
    found: dict[str, Any] = {"status": "failed", "rows": []}
    if path.exists():
        found = json.loads(path.read_text())
        path.unlink()
    if found["status"] == "running" or reason:
        found |= {"status": "failed", "reason": reason or f"died with exit code {code}"}
    return {**found, "seconds": round(time.monotonic() - started, 1)}


def _run_part(arguments: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.WARNING)
    record = Record(arguments.out / f"{arguments.part}.json")
    settings = Settings(arguments.device, arguments.worlds, arguments.small, arguments.seconds)
    try:
        _parts()[arguments.part](settings, record)
    except Skipped as error:
        record.end("skipped", str(error))
    except Exception as error:  # noqa: BLE001 - its text is the result
        traceback.print_exc()
        record.end("failed", _line(error))
        return 1
    else:
        record.end("passed")
    return 0


def _parts() -> dict[str, Callable[[Settings, Record], None]]:
    """Import the parts: a part's process finds the kit's packages, this module's may not."""
    from benchmarks.gpu import (  # noqa: PLC0415 - as above
        answers,
        blocks,
        faults,
        machine,
        parity,
        peer,
        ranking,
        tests,
        training,
    )

    rooms = (machine, tests, parity, training, blocks, ranking, peer, answers, faults)
    return {name: room.run for name, room in zip(PARTS, rooms, strict=True)}


def _publish(out: Path, results: dict[str, Any]) -> None:
    for name, content in (
        ("cuda.json", json.dumps(results, indent=1)),
        ("cuda.md", markdown(results)),
    ):
        with atomic_file(out / name, clean=False) as file:
            file.write(content.encode())


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


if __name__ == "__main__":
    main()
