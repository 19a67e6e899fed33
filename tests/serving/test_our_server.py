"""``ncf serve`` with our server, from its start to its end, and what goes wrong in between."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from starlette.applications import Starlette
from starlette.routing import Mount

from handlers.asgi import application
from handlers.models import place_of
from handlers.service import Service
from ncf.connections import connect
from ncf.errors import NcfError
from ncf.scoring.bundle import Bundle
from ncf.serving.asgi import ServerSettings, read_canaries
from ncf.serving.tokens import TokenSources
from tests.serving.ours import ADMIN, TOKEN, Ours, serving_ours, until_ready
from tests.serving.served import NCF, drained, traffic

pytestmark = pytest.mark.xdist_group("asgi")

KNOWN = [f"u{number}" for number in range(20)]


def swap(source: Path, target: Path) -> None:
    """Replace a bundle as 'ncf export' does, in one step."""
    aside = target.with_name("aside")
    shutil.copytree(source, target.with_name("incoming"))
    if target.exists():
        target.rename(aside)
    target.with_name("incoming").rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def spoil_graph(folder: Path) -> None:
    """Write a damaged graph in place of a bundle's."""
    graph = folder / "topk.onnx"
    spoilt = bytearray(graph.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    graph.unlink()
    graph.write_bytes(spoilt)
    os.utime(folder / "bundle.json")


def replace_workers(server: Ours) -> None:
    """Kill all workers, and wait for those that follow them."""
    before = set(server.workers())
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while before & (now := set(server.workers())) or len(now) < len(before):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    until_ready(server)


def holds_removed_files(server: Ours) -> bool:
    """Whether the process that keeps the workers has files open that are removed."""
    opened = Path(f"/proc/{server.process.pid}/fd")
    return any("(deleted)" in str(each.readlink()) for each in opened.iterdir())


@pytest.fixture
def our_store(bundle: Bundle, next_bundle: Bundle, tmp_path: Path) -> Path:
    store = tmp_path / "store"
    shutil.copytree(bundle.path, store / "ncf")
    shutil.copytree(next_bundle.path, store / "next")
    return store


@pytest.fixture(scope="module")
def ours(
    bundle: Bundle, next_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ours]:
    """Two workers, two models, a quarter of the users by the second."""
    store = tmp_path_factory.mktemp("store")
    shutil.copytree(bundle.path, store / "ncf")
    shutil.copytree(next_bundle.path, store / "next")
    options = ("--workers", "2", "--canary", "next=25%", "--grpc-port", "7")
    with serving_ours(store, *options) as server:
        yield server


def command(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: v for name, v in os.environ.items() if not name.startswith("NCF_")} | more
    return subprocess.run(
        [*NCF, *words], capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def test_the_line_it_prints_works_as_pasted(ours: Ours) -> None:
    line = next(line for line in ours.introduction.splitlines() if "curl" in line)
    pasted = subprocess.run(
        ["/bin/sh", "-c", line.replace("curl", "curl -sS", 1)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NCF_TOKEN": TOKEN},
    )
    assert len(json.loads(pasted.stdout)["items"]) == 10
    assert "127.0.0.1" in ours.introduction


def test_a_token_is_needed_but_for_health_and_metrics(ours: Ours) -> None:
    for token in (None, "wrong", TOKEN[:-1], TOKEN + "x", ADMIN):
        for path in ("models/ncf", "v2/models/ncf", "v2"):
            refused = ours.get(path, token)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"] == "Bearer"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        for path in ("predictions/ncf", "invocations", "v2/models/ncf/infer"):
            posted = requests.post(
                f"{ours.url}/{path}", json={"user": "u3"}, headers=headers, timeout=9
            )
            assert posted.status_code == 401
    for token in (None, TOKEN, "wrong"):
        assert ours.reload(token).status_code == 401
    for path in ("healthz", "readyz", "ping", "v2/health/live", "v2/health/ready", "metrics"):
        assert ours.get(path, None).status_code == 200, path


def test_paths_methods_and_versions(ours: Ours, bundle: Bundle) -> None:
    version = bundle.digest[:12]
    assert ours.get("nothing").status_code == 404
    assert ours.post(b"{}", path="predictions/other").status_code == 404
    refused = ours.get("predictions/ncf")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    body = b'{"user": "u3", "k": 3}'
    alone = ours.post(body)
    for path in (f"predictions/ncf/{version}", "invocations"):
        assert ours.post(body, path=path).content == alone.content
    assert ours.post(body, path="predictions/ncf/0").status_code == 404
    assert ours.get(f"v2/models/ncf/versions/{version}/ready").status_code == 200
    assert ours.get("v2/models/ncf/versions/1").json()["error"]
    assert ours.get("models/ncf").json()["digest"] == bundle.digest
    assert ours.post(body, **{"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"


def test_a_canary_answers_for_its_share_of_users_and_is_counted_apart(
    ours: Ours, bundle: Bundle, next_bundle: Bundle
) -> None:
    users = [f"u{number}" for number in range(40)]
    theirs = {user for user in users if place_of(user, "next") < 0.25}
    assert 3 <= len(theirs) <= 20
    first, second = Service(bundle.path), Service(next_bundle.path)
    before = [ours.counted("ncf_requests_total", model=name) for name in ("ncf", "next")]
    for user in users:
        body = json.dumps({"user": user, "k": 4}).encode()
        service = second if user in theirs else first
        assert ours.post(body).content == service.answer([{"body": body}])[0][0].body
    many = {"requests": [*({"user": user} for user in users), {"user": 3}, {"requests": []}]}
    found = ours.post(json.dumps(many).encode()).json()["responses"]
    expected = {True: second.model, False: first.model}
    assert [each["model"] for each in found[:-2]] == [expected[user in theirs] for user in users]
    assert [each["status"] for each in found[-2:]] == [400, 400]
    after = [ours.counted("ncf_requests_total", model=name) for name in ("ncf", "next")]
    assert after[1] - before[1] == 2 * len(theirs)
    assert after[0] - before[0] == 2 * (40 - len(theirs)) + 2
    by_name = json.dumps({"user": min(set(users) - theirs), "k": 4}).encode()
    assert ours.post(by_name, path="predictions/next").json()["model"] == second.model


def test_a_killed_worker_is_replaced_and_the_other_answers_on(ours: Ours) -> None:
    before = ours.workers()
    assert len(before) == 2
    with traffic(ours, KNOWN, 8) as answers:
        time.sleep(0.3)
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + 20
        while before[0] in ours.workers() or len(ours.workers()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        drained(answers)
        time.sleep(1.0)
        after = drained(answers)
    assert {answer.status_code for _, answer in after} == {200}
    assert ours.counted("ncf_serving", model="ncf") <= 2


def test_nothing_is_lost_when_the_server_is_told_to_end(our_store: Path) -> None:
    with serving_ours(our_store, "--workers", "2") as server:
        with traffic(server, KNOWN, 16) as answers:
            time.sleep(0.7)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
            time.sleep(0.1)
        found = [answer for _, answer in drained(answers)]
    statuses = Counter(each.status_code for each in found if isinstance(each, requests.Response))
    errors = [each for each in found if not isinstance(each, requests.Response)]
    assert set(statuses) == {200}
    assert statuses[200] > 100
    # After the port is closed nobody is let in; before, nobody who was let in is left alone. Who
    # is connected, but not let in yet, is reset.
    ends = ("refused", "reset", "broken pipe")
    assert [each for each in errors if not any(end in str(each).lower() for end in ends)] == []
    assert [each for each in errors if "Remote end closed" in str(each)] == []


def test_who_was_let_in_before_the_end_is_answered_though_slow_to_ask(our_store: Path) -> None:
    with serving_ours(our_store) as server:
        place = urlsplit(server.url)
        assert place.hostname is not None
        with closing(HTTPConnection(place.hostname, place.port, timeout=10)) as client:
            client.connect()
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)  # as on a machine with much else to do
            client.request(
                "POST",
                "/predictions/ncf",
                b'{"user": "u1"}',
                {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
            )
            assert client.getresponse().status == 200
        assert server.process.wait(30) == 0


def test_a_client_that_never_asks_does_not_hold_up_the_end(our_store: Path) -> None:
    with serving_ours(our_store) as server:
        place = urlsplit(server.url)
        with socket.create_connection((place.hostname, place.port)):
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(8) == 0


def test_a_new_bundle_takes_over_without_a_lost_request_and_a_bad_one_is_refused(
    our_store: Path, bundle: Bundle, next_bundle: Bundle
) -> None:
    old, new = bundle.digest[:12], next_bundle.digest[:12]
    with serving_ours(our_store, "--workers", "2", "--follow", "0.2") as server:
        with traffic(server, KNOWN, 8) as answers:
            time.sleep(0.3)
            swap(our_store / "next", our_store / "ncf")
            reloaded = server.reload()
            assert reloaded.status_code == 200
            assert [each["digest"] for each in reloaded.json()["models"]] == [new]
            assert server.predict(user="u3").json()["model"] == new
            spoil_graph(our_store / "ncf")
            refused = server.reload()
            assert refused.status_code == 409
            assert "topk.onnx: bytes differ" in refused.json()["models"][0]["refused"]
            time.sleep(0.5)
        found = drained(answers)
        assert {answer.status_code for _, answer in found} == {200}
        models = [answer.json()["model"] for _, answer in found]
        assert set(models) == {old, new}
        assert models[-1] == new
        assert server.counted("ncf_reloads_total", outcome="switched") == 2
        swap(bundle.path, our_store / "ncf")  # followed without being told
        deadline = time.monotonic() + 15
        while {server.predict(user="u3").json()["model"] for _ in range(8)} != {old}:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize(("workers", "spoil"), [("1", shutil.rmtree), ("2", spoil_graph)])
def test_a_worker_that_starts_again_beside_a_bad_bundle_answers_with_the_last_good_one(
    our_store: Path,
    bundle: Bundle,
    next_bundle: Bundle,
    workers: str,
    spoil: Callable[[Path], object],
) -> None:
    folder, new = our_store / "ncf", next_bundle.digest[:12]
    with serving_ours(our_store, "--workers", workers, "--follow", "0.2") as server:
        swap(next_bundle.path, folder)
        assert server.reload().status_code == 200
        expected = server.predict(user="u3").content
        spoil(folder)
        assert server.reload().status_code == 409
        replace_workers(server)
        with connect(server.url, TOKEN) as client:
            path = f"{server.url}/predictions/ncf"
            found = client.post(path, json={"user": "u3"}, timeout=30)
        assert (found.status_code, found.content) == (200, expected)
        assert found.json()["model"] == new
        assert server.reload().status_code == 409
        swap(bundle.path, folder)  # whole again: followed without being told
        deadline = time.monotonic() + 15
        while server.predict(user="u3").json()["model"] == new or holds_removed_files(server):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_wrong_starts_are_one_line_with_a_remedy(our_store: Path, tmp_path: Path) -> None:
    serve = ("serve", "--model-store", str(our_store), "--state", str(tmp_path / "state"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = command(*serve, "--port", str(taken.getsockname()[1]))
    assert (busy.returncode, "taken" in busy.stderr, "--port" in busy.stderr) == (75, True, True)
    assert not (tmp_path / "state" / "token").exists()
    graph = our_store / "next" / "score.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    ended = command(*serve, "--port", "0", "--name", "next")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "score.onnx: bytes differ" in ended.stderr


def test_wrong_settings_are_refused_at_once(our_store: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("x\n")
    sources = TokenSources(tmp_path / "state")
    right = ServerSettings(our_store, sources)
    right.check()
    wrong: list[tuple[Callable[[], object], str]] = [
        (replace(right, name="gone").check, "bundle.json is missing"),
        (replace(right, canaries={"ncf": 0.1}).check, "its own canary"),
        (replace(right, certificate=short).check, "two files"),
        (replace(right, certificate=short, key=short).check, "not a certificate"),
        (replace(right, host="203.0.113.7").listen, "203.0.113.7"),
        (replace(sources, file=short).find, "no token"),
        (lambda: read_canaries(["next"]), "NAME=SHARE%"),
        (lambda: read_canaries(["next=101%"]), "NAME=SHARE%"),
    ]
    for call, words in wrong:
        with pytest.raises(NcfError, match=words) as caught:
            call()
        assert caught.value.exit_code == 2
        assert ";" in str(caught.value)
    assert not (tmp_path / "state").exists()


def test_made_tokens_are_for_their_owner_and_given_ones_leave_no_state(
    our_store: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with serving_ours(our_store, "--state", str(state), NCF_TOKEN="", NCF_ADMIN_TOKEN="") as made:
        token = (state / "token").read_text().strip()
        assert (state / "token").stat().st_mode & 0o077 == 0
        assert made.get("models/ncf", token).status_code == 200
        assert made.get("models/ncf").status_code == 401
        admin = (state / "admin-token").read_text().strip()
        assert made.reload(admin).status_code == 200
        checked = command("check", made.url, "--state", str(state), "--model-store", str(our_store))
        assert checked.returncode == 0, checked.stderr
    with serving_ours(our_store, "--state", str(tmp_path / "none"), "--no-token") as free:
        assert free.get("models/ncf", None).status_code == 200
    assert not (tmp_path / "none").exists()


def test_tls_and_json_lines(our_store: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    words += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    subprocess.run([openssl, *words.split()], check=True, capture_output=True)
    options = ("--certificate", str(certificate), "--key", str(key), "--access-log")
    with serving_ours(our_store, *options) as server:
        assert server.url.startswith("https://127.0.0.1:")
        posted = requests.post(
            f"{server.url}/predictions/ncf?secret=1",
            json={"user": "u3"},
            headers={"Authorization": f"Bearer {TOKEN}"},
            verify=str(certificate),
            timeout=10,
        )
        assert posted.status_code == 200
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
        assert server.process.stdout is not None
        lines = [json.loads(line) for line in server.process.stdout.read().splitlines()]
    (line,) = [each for each in lines if each["path"] == "/predictions/ncf"]
    assert (line["status"], line["method"], line["client"]) == (200, "POST", "127.0.0.1")
    assert line["request_id"] == posted.headers["x-request-id"]
    assert "secret" not in json.dumps(line)


def test_it_is_embedded_in_another_application_without_its_lifespan(bundle: Bundle) -> None:
    inner = application({"ncf": bundle.path}, token=TOKEN)
    app = Starlette(routes=[Mount("/films", inner)])

    async def main() -> None:
        for user in ("u3", "u4"):
            body = json.dumps({"user": user}).encode()
            _, answer = await asked(app, "/films/predictions/ncf", body)
            assert json.loads(answer)["user"] == user
        assert (await asked(app, "/films/predictions/ncf", b"{}", token=ADMIN))[0] == 401
        assert json.loads((await asked(app, "/films/readyz"))[1]) == {"ready": True}

    asyncio.run(main())
    inner.close()


async def asked(
    app: Callable[..., Awaitable[None]],
    path: str,
    body: bytes | None = None,
    token: str = TOKEN,
    kind: str = "application/json",
) -> tuple[int, bytes]:
    """Ask an application as a server does; gives the status and the body."""
    sent: list[dict[str, Any]] = []
    given = [{"type": "http.request", "body": body or b""}]

    async def receive() -> dict[str, Any]:
        if not given:
            await asyncio.sleep(60)
        return given.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET" if body is None else "POST",
        "path": path,
    }
    headers = {"authorization": f"Bearer {token}", "content-type": kind}
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    scope["root_path"] = ""
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "client": None}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


def test_requests_that_come_together_are_scored_together(ours: Ours) -> None:
    before = [ours.counted(f"ncf_batch_rows_{each}") for each in ("sum", "count")]
    with ThreadPoolExecutor(32) as clients:
        list(clients.map(lambda n: ours.predict(user=f"u{n % 40}"), range(640)))
    rows, batches = (
        ours.counted(f"ncf_batch_rows_{each}") - then
        for each, then in zip(("sum", "count"), before, strict=True)
    )
    assert rows == 640
    assert rows / batches > 1
