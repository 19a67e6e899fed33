"""ONNX Runtime's telemetry is off, whatever runs: no name is asked for, nothing is left at home.

It counts as off anyway where ``CI`` is set, so that is unset here; and the home is a fresh one.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from ncf.scoring.bundle import Bundle
from ncf.scoring.onnx_runtime import ort

ROOT = Path(__file__).parents[2]
ONLY = Path("ncf/scoring/onnx_runtime.py")
# Long enough for ONNX Runtime to look up its host.
_LINGER = 8
_PLAIN = "import onnxruntime as o; from ncf.doctor import _PROBE as p; s = o.InferenceSession(p)"
_WORKER = """
import sys, time
from pathlib import Path
from handlers.service import Service
answer = Service(Path({bundle!r})).answer([{{"body": b'{{"user": "u1", "k": 2}}'}}])[0][0]
assert answer.status == 200, answer
time.sleep({linger})
"""
# Root of a namespace without any network, whose names a server of our own is asked for.
_ALONE = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c"]
_SPIED = """
mount --bind {resolv} /etc/resolv.conf && ip link set lo up || exit 77
{python} {spy} & spy=$!
while [ ! -e {ready} ]; do sleep 0.05; done
{python} -c "$PROGRAM"; code=$?
kill $spy; exit $code
"""
_SPY = """
import socket
from pathlib import Path
spy = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
spy.bind(("127.0.0.1", 53))
Path({ready!r}).touch()
while True:
    query, asker = spy.recvfrom(2048)
    with open({log!r}, "ab") as log:
        log.write(query[12:-4].replace(b"\\0", b"") + b"\\n")
    spy.sendto(query[:2] + b"\\x81\\x83" + query[4:6] + bytes(6) + query[12:], asker)
"""


def _environment(home: Path, **changes: str) -> dict[str, str]:
    unset = {"CI", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return {**kept, "HOME": str(home), **changes}


def _left(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def _python(program: str, home: Path) -> str:
    home.mkdir(exist_ok=True)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stderr


def _names_asked(program: str, folder: Path) -> list[str]:
    """Run a program where no packet can leave; skip where there are no namespaces."""
    log, ready, resolv, spy = (folder / name for name in ("log", "ready", "resolv", "spy.py"))
    resolv.write_text("nameserver 127.0.0.1\n")
    spy.write_text(_SPY.format(ready=str(ready), log=str(log)))
    log.touch()
    (folder / "home").mkdir(exist_ok=True)
    script = _SPIED.format(resolv=resolv, python=sys.executable, spy=spy, ready=ready)
    try:
        ended = subprocess.run(
            [*_ALONE, script],
            env=_environment(folder / "home", PROGRAM=program),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if ended.returncode == 77 or ended.stderr.startswith("unshare"):
        pytest.skip("this user may make no namespaces")
    assert ended.returncode == 0, ended.stderr
    return log.read_text(errors="replace").splitlines()


def test_one_module_alone_imports_onnx_runtime() -> None:
    found = set()
    for room in ("ncf", "export", "batch", "handlers", "benchmarks", "examples"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == "onnxruntime" for name in names):
                    found.add(path.relative_to(ROOT))
    assert found == {ONLY}


@pytest.mark.skipif(
    Version(ort.__version__) < Version("1.31"), reason="this ONNX Runtime has no telemetry"
)
def test_plain_onnx_runtime_is_caught_at_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    _python(f"{_PLAIN}; import time; time.sleep(1)", home)
    assert any("onnxruntime" in name for name in _left(home))


def test_a_served_worker_asks_for_no_name_and_leaves_nothing_at_home(
    bundle: Bundle, tmp_path: Path
) -> None:
    program = _WORKER.format(bundle=str(bundle.path), linger=_LINGER)
    assert _names_asked(program, tmp_path) == []
    assert _left(tmp_path / "home") == []


def test_a_worker_leaves_nothing_at_home(bundle: Bundle, tmp_path: Path) -> None:
    _python(_WORKER.format(bundle=str(bundle.path), linger=1), tmp_path / "home")
    assert _left(tmp_path / "home") == []


def test_the_library_leaves_nothing_at_home(bundle: Bundle, tmp_path: Path) -> None:
    program = (
        "import ncf; b = ncf.open_bundle({0!r}); b.recommend(['u1'], k=2);"
        " ncf.batch(b, out={1!r}, k=2)"
    )
    _python(program.format(str(bundle.path), str(tmp_path / "topk")), tmp_path / "home")
    assert (tmp_path / "topk" / "LATEST").exists()
    assert _left(tmp_path / "home") == []


def test_commands_leave_nothing_at_home(bundle: Bundle, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for words in (
        f"recommend --bundle {bundle.path} --user u1 -k 2",
        f"batch --bundle {bundle.path} --out {tmp_path / 'topk'} -k 2",
        f"verify --bundle {bundle.path}",
        "doctor",
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "ncf", *words.split()],
            env=_environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert _left(home) == [], words


def test_who_imported_onnx_runtime_before_is_warned_in_one_line(tmp_path: Path) -> None:
    said = _python(f"{_PLAIN}; import ncf.scoring.sessions, ncf.scoring.exact", tmp_path / "home")
    (line,) = said.splitlines()
    assert "ORT_DISABLE_TELEMETRY=1" in line


def test_who_switched_it_off_before_is_not_warned(tmp_path: Path) -> None:
    off = 'import os; os.environ["ORT_DISABLE_TELEMETRY"] = "1"'
    said = _python(f"{off}; {_PLAIN}; import ncf.scoring.sessions", tmp_path / "home")
    assert said == ""
    assert _left(tmp_path / "home") == []


def test_whatever_the_variable_said_telemetry_is_off(tmp_path: Path) -> None:
    on = 'import os; os.environ["ORT_DISABLE_TELEMETRY"] = "0"'
    assert _python(f"{on}; import ncf.scoring.sessions; {_PLAIN}", tmp_path / "home") == ""
    assert _left(tmp_path / "home") == []
