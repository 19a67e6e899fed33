"""``ncf serve`` from its start to its end, and what goes wrong in between."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import requests

from ncf.errors import TEMPORARY, CapabilityError
from ncf.scoring.bundle import Bundle
from ncf.serving.check import Client
from ncf.serving.process import running
from ncf.serving.settings import Settings
from tests.serving.live import Live, alive, arguments, serving, some_ports
from tests.serving.served import NCF, drained, traffic

pytestmark = pytest.mark.xdist_group("torchserve")

KNOWN = [f"u{number}" for number in range(20)]


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*NCF, *words], capture_output=True, text=True, check=False, timeout=90)


def test_the_line_it_prints_works_as_pasted(live: Live) -> None:
    line = next(line for line in live.introduction.splitlines() if "curl" in line)
    pasted = subprocess.run(
        ["/bin/sh", "-c", line.replace("curl", "curl -sS", 1)],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert len(json.loads(pasted.stdout)["items"]) == 10
    assert f"address  {live.url}/predictions/ncf" in live.introduction
    assert str(live.state / "key_file.json") in live.introduction


def test_windows_is_told_that_it_cannot_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    settings = Settings(tmp_path, "ncf", tmp_path / "state")
    with pytest.raises(CapabilityError, match="on Windows; run it on Linux"):
        running(settings, 1, 1.0).__enter__()
    assert not (tmp_path / "state").exists()


def test_nothing_listens_beyond_loopback_and_no_token_is_no_answer(live: Live) -> None:
    config = (live.state / "config.properties").read_text()
    assert len(re.findall(r"^\w+_address=(?:http://)?127\.0\.0\.1(?::\d+)?$", config, re.M)) == 5
    for port, path in ((live.ports.port, "ping"), (live.ports.management_port, "models")):
        assert requests.get(f"http://127.0.0.1:{port}/{path}", timeout=30).status_code == 400
    assert (live.state / "key_file.json").stat().st_mode & 0o077 == 0
    assert live.state.stat().st_mode & 0o077 == 0


def test_only_archives_of_the_store_are_registered(live: Live, bundle: Bundle) -> None:
    archive = bundle.path.with_suffix(".mar")
    for url in (f"file://{archive}", "http://127.0.0.1:1/x.mar", "../ncf.mar"):
        assert live.manage("POST", "models", url=url).status_code == 404


def test_check_reports_latency_and_the_model(live: Live, store: Path, bundle: Bundle) -> None:
    given = ["--state", str(live.state), "--model-store", str(store), "--times", "5"]
    checked = command("check", live.url, *given)
    assert checked.returncode == 0, checked.stderr
    assert bundle.digest[:12] in checked.stdout
    assert re.search(r"median ms +\d", checked.stdout)
    assert re.search(r"policy +model", checked.stdout)
    without = command("check", live.url, "--user", "u3", "--token-file", "/nowhere")
    assert without.returncode == 2
    assert "token" in without.stderr
    nobody = command("check", "http://127.0.0.1:1", "--user", "u3")
    assert nobody.returncode == 75
    assert "no answer" in nobody.stderr


def test_a_killed_worker_fails_what_it_held_and_the_next_requests_succeed(live: Live) -> None:
    (worker,) = live.workers()
    with traffic(live, KNOWN, 8) as answers:
        time.sleep(0.5)
        os.kill(worker, signal.SIGKILL)
        killed = time.monotonic()
        while live.workers() in ([], [worker]):
            assert time.monotonic() < killed + 30
            time.sleep(0.1)
        live.wait_until_it_answers()
        drained(answers)
        time.sleep(0.5)
        after = drained(answers)
    assert len(after) > 8
    assert {answer.status_code for _, answer in after} == {200}


def test_requests_in_flight_fail_cleanly_when_a_worker_is_killed(live: Live) -> None:
    (worker,) = live.workers()
    os.kill(worker, signal.SIGSTOP)  # so that it surely holds a batch
    with traffic(live, KNOWN, 8) as answers:
        time.sleep(0.3)
        os.kill(worker, signal.SIGKILL)
        first = answers.get(timeout=30)[1]
        live.wait_until_it_answers()
    found = [first, *(answer for _, answer in drained(answers))]
    failed = [answer for answer in found if answer.status_code != 200]
    assert 1 <= len(failed) <= 8
    assert {answer.status_code for answer in failed} <= {500, 503, 507}
    assert all(answer.json()["message"] for answer in failed)


def test_rolling_to_the_next_version_loses_no_request(
    live: Live, bundle: Bundle, next_bundle: Bundle
) -> None:
    with traffic(live, KNOWN, 4) as answers:
        time.sleep(0.3)
        added = live.manage("POST", "models", url="ncf-2.mar", synchronous="true")
        assert added.status_code == 200, added.text
        assert live.manage("PUT", "models/ncf/2.0/set-default").status_code == 200
        time.sleep(0.5)
        assert live.manage("DELETE", "models/ncf/1.0").status_code == 200
        time.sleep(0.5)
    found = drained(answers)
    assert {answer.status_code for _, answer in found} == {200}
    models = [answer.json()["model"] for _, answer in found]
    old, new = bundle.digest[:12], next_bundle.digest[:12]
    assert set(models) == {old, new}
    assert models[-1] == new
    back = live.manage("POST", "models", url="ncf.mar", synchronous="true")
    assert back.status_code == 200, back.text
    assert live.manage("PUT", "models/ncf/1.0/set-default").status_code == 200
    assert live.manage("DELETE", "models/ncf/2.0").status_code == 200


def spoil(archive: Path, target: Path, version: str = "1.0") -> None:
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            content = bytearray(before.read(name))
            if name == "bundle/topk.onnx":
                content[len(content) // 2] ^= 1
            elif name == "MAR-INF/MANIFEST.json":
                manifest = json.loads(content)
                manifest["model"]["modelVersion"] = version
                content = bytearray(json.dumps(manifest).encode())
            after.writestr(name, bytes(content))


def test_a_damaged_version_is_refused_and_the_first_answers_on(live: Live, store: Path) -> None:
    spoil(store / "ncf.mar", store / "damaged.mar", "3.0")
    with traffic(live, KNOWN, 4) as answers:
        refused = live.manage("POST", "models", url="damaged.mar", synchronous="true")
    assert refused.status_code == 500
    assert {answer.status_code for _, answer in drained(answers)} == {200}
    versions = live.manage("GET", "models/ncf/all").json()
    assert [each["modelVersion"] for each in versions] == ["1.0"]


def test_a_flipped_byte_keeps_the_worker_down_and_the_last_line_says_why(
    store: Path, live: Live, state: Path, tmp_path: Path
) -> None:
    spoil(store / "ncf.mar", tmp_path / "ncf.mar")
    ended = command(*arguments(tmp_path, state, some_ports()))
    assert ended.returncode == 2
    reason = "topk.onnx: bytes differ from the recorded SHA-256"
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    lines = (state / "logs" / "model.log").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if "s_name_part0" in line]
    assert reason in lines[(starts[1] if len(starts) > 1 else len(lines)) - 1]
    assert live.predict(user="u3").status_code == 200  # only its own server was stopped


def test_sigterm_stops_the_server_its_workers_and_no_other(
    store: Path, live: Live, state: Path
) -> None:
    with serving(store, state, "--workers", "2", stop=signal.SIGTERM) as second:
        workers = second.workers()
        assert len(workers) == 2
        java = int((state / "tmp" / ".model_server.pid").read_text())
        running = command(*arguments(store, state, some_ports()))
        assert running.returncode == 75
        assert f"pid {second.process.pid}" in running.stderr
        (described,) = second.manage("GET", "models/ncf", customized="true").json()
        cores = len(os.sched_getaffinity(0))
        assert described["customizedMetadata"]["lanes"] == max(1, cores // 2)
    assert not any(map(alive, [java, *workers]))
    assert live.predict(user="u3").status_code == 200


def test_a_taken_port_is_named_with_its_option(store: Path, state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        given = arguments(store, state, some_ports())
        ended = command(*given, "--metrics-port", port)
    assert ended.returncode == TEMPORARY
    assert f"port {port} on 127.0.0.1" in ended.stderr
    assert "--metrics-port" in ended.stderr
    twice = command(*given, "--port", "4711", "--grpc-port", "4711")
    assert twice.returncode == 2
    assert "given twice" in twice.stderr


def test_a_missing_or_foreign_archive_is_named(state: Path, tmp_path: Path) -> None:
    missing = command(*arguments(tmp_path, state, some_ports()))
    (tmp_path / "ncf.mar").write_bytes(b"not a zip file")
    foreign = command(*arguments(tmp_path, state, some_ports()))
    for ended in (missing, foreign):
        assert ended.returncode == 2
        assert str(tmp_path / "ncf.mar") in ended.stderr
        assert "export" in ended.stderr


def test_the_printed_configuration_starts_torchserve(store: Path, state: Path) -> None:
    ports = some_ports()
    words = arguments(store, state, ports)[1:]
    for option in ("--state", "--server"):
        del words[(at := words.index(option)) : at + 2]
    printed = command("torchserve-config", str(state), *words)
    assert printed.returncode == 0, printed.stderr
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(
        ["/bin/sh", "-e", "-c", printed.stdout],
        env={"PATH": path},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{ports.port}", state / "key_file.json")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(url: str, token_file: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert Client(url, "ncf", token_file).predict("u3")["policy"] == "model"
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
