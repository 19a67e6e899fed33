"""Answers that are remembered: the same bytes, counted, of the bundle of now, within memory."""

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from handlers.application import Application
from handlers.models import Models
from handlers.reading import Limits
from handlers.remembered import Question, Remembered
from handlers.replies import Reply
from handlers.routes import Route
from handlers.service import Service
from ncf.scoring.bundle import Bundle
from tests.serving.test_our_server import asked, swap

_JSON = {b"content-type": b"application/json"}


class Counts:
    """Counts what was remembered."""

    repeated_times = 0

    def repeated(self, model: str, digest: str, policy: str) -> None:
        assert (model, len(digest), policy) == ("ncf", 12, "model")
        self.repeated_times += 1


def run(
    folders: Mapping[str, Path],
    ask: Callable[[Application], Coroutine[Any, Any, None]],
    canaries: Mapping[str, float] | None = None,
) -> None:
    app = Application(Models(folders, canaries))

    async def main() -> None:
        await ask(app)

    try:
        asyncio.run(main())
    finally:
        app.close()


def counted(app: Application, name: str) -> float:
    lines = app.metrics.show().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def answer(app: Application, body: bytes, kind: str = "application/json") -> bytes:
    return (await asked(app, "/predictions/ncf", body, kind=kind))[1]


def test_a_repeated_request_gets_the_same_bytes_without_being_scored(bundle: Bundle) -> None:
    async def ask(app: Application) -> None:
        with Service(bundle.path) as service:
            for user in ("u3", "u4", "stranger"):
                body = json.dumps({"user": user, "k": 4}).encode()
                expected = service.answer([{"body": body}])[0][0].body
                assert [await answer(app, body) for _ in range(3)] == [expected] * 3
        assert counted(app, "ncf_requests_total") == 9
        assert counted(app, "ncf_unknown_users_total") == 3
        assert counted(app, "ncf_repeated_total") == 6
        assert counted(app, "ncf_batch_rows_sum") == 3

    run({"ncf": bundle.path}, ask)


def test_errors_many_users_forms_and_long_requests_are_asked_again(bundle: Bundle) -> None:
    bodies = [
        b'{"user": 3}',
        b"{",
        b'{"requests": [{"user": "u3"}]}',
        b'{"user": "u3"}' + b" " * 999,
    ]

    async def ask(app: Application) -> None:
        for body in bodies:
            assert await answer(app, body) == await answer(app, body)
        for _ in range(2):
            assert b"items" in await answer(app, b"user=u3", "application/x-www-form-urlencoded")
        assert counted(app, "ncf_repeated_total") == 0

    run({"ncf": bundle.path}, ask)


def test_users_whom_a_canary_may_take_are_asked_again(bundle: Bundle, next_bundle: Bundle) -> None:
    async def ask(app: Application) -> None:
        body = b'{"user": "u3"}'
        assert await answer(app, body) == await answer(app, body)
        assert counted(app, "ncf_repeated_total") == 0
        for _ in range(2):
            assert (await asked(app, "/predictions/next", body))[0] == 200
        assert counted(app, "ncf_repeated_total") == 1

    run({"ncf": bundle.path, "next": next_bundle.path}, ask, {"next": 0.5})


def test_models_of_one_bundle_keep_their_names_apart(bundle: Bundle) -> None:
    inputs = [{"name": "user", "shape": [1], "datatype": "BYTES", "data": ["u3"]}]
    body = json.dumps({"inputs": inputs}).encode()

    async def ask(app: Application) -> None:
        for name in ("ncf", "next", "ncf", "next"):
            said = json.loads((await asked(app, f"/predictions/{name}", body))[1])
            assert said["model_name"] == name
        assert counted(app, "ncf_repeated_total") == 2

    run({"ncf": bundle.path, "next": bundle.path}, ask)


def test_a_new_bundle_gives_its_own_answers_at_once(
    bundle: Bundle, next_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "ncf"
    shutil.copytree(bundle.path, folder)

    async def ask(app: Application) -> None:
        before = [await answer(app, b'{"user": "u3"}') for _ in range(2)]
        swap(next_bundle.path, folder)
        await app.reload_own()
        after = [await answer(app, b'{"user": "u3"}') for _ in range(2)]
        assert [json.loads(each)["model"] for each in (*before, *after)] == [
            *[bundle.digest[:12]] * 2,
            *[next_bundle.digest[:12]] * 2,
        ]

    run({"ncf": folder}, ask)


def test_an_answer_that_a_new_bundle_overtook_is_not_kept(
    bundle: Bundle, next_bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "ncf"
    shutil.copytree(bundle.path, folder)
    models, counts = Models({"ncf": folder}), Counts()
    remembered = Remembered(models, counts, 10_000)
    question = Question(Route("predict", "ncf"), _JSON, b"{}")

    async def overtaken() -> Reply:
        swap(next_bundle.path, folder)
        models["ncf"].close()
        models.follow(Application(models).metrics)
        return Reply(200, b"of the old one", policy="model")

    async def now() -> Reply:
        return Reply(200, b"of the new one", policy="model")

    async def main() -> list[bytes]:
        return [(await remembered.answer(question, ask)).body for ask in (overtaken, now, now)]

    assert asyncio.run(main()) == [b"of the old one", b"of the new one", b"of the new one"]
    assert counts.repeated_times == 1


@pytest.mark.parametrize(("most", "repeated"), [(0, 0), (1000, 0), (100_000, 20)])
def test_the_oldest_answers_go_when_memory_is_full(
    bundle: Bundle, most: int, repeated: int
) -> None:
    async def ask(app: Application) -> None:
        remembered = Remembered(app.models, counts, most)

        async def one(number: int) -> None:
            question = Question(Route("predict", "ncf"), _JSON, b"%d" % number)
            await remembered.answer(question, given)

        for _ in range(2):
            for number in range(20):
                await one(number)
        assert counts.repeated_times == repeated
        if most:
            await one(19)  # the last one is still there
            assert counts.repeated_times == repeated + 1

    async def given() -> Reply:
        return Reply(200, b"x" * 100, policy="model")

    counts = Counts()
    run({"ncf": bundle.path}, ask)
    assert Limits().remembered < 1 << 25
