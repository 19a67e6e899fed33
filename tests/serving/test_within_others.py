"""The application within Starlette and FastAPI: the lines of docs/operations.md, under uvicorn."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handlers.service import Service
from ncf.scoring.bundle import Bundle
from tests.handlers.environment import free_ports
from tests.packaging.requirements import ROOT
from tests.serving.ours import TOKEN, Ours, serving_elsewhere

pytestmark = pytest.mark.xdist_group("asgi")


def _program(library: str, bundle: Bundle) -> str:
    """Take the lines of the documentation, with a bundle and a token that exist."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    (block,) = (each for each in blocks if f"from {library}" in each)
    program: str = block.replace("model_store/ncf", str(bundle.path)).replace('"…"', f'"{TOKEN}"')
    assert str(bundle.path) in program
    assert TOKEN in program
    return program


@pytest.fixture(params=["starlette", "fastapi"])
def films(request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path) -> Iterator[Ours]:
    (tmp_path / "films.py").write_text(_program(request.param, bundle), encoding="utf-8")
    (port,) = free_ports(1)
    words = f"-m uvicorn films:app --app-dir {tmp_path} --log-level error --port {port}"
    with serving_elsewhere(words.split(), port, "/films") as ours:
        yield ours


def test_the_lines_of_the_documentation_answer_as_our_server_does(
    films: Ours, bundle: Bundle
) -> None:
    bodies = [json.dumps({"user": f"u{number}", "k": 4}).encode() for number in range(40)]
    with Service(bundle.path) as service, ThreadPoolExecutor(8) as clients:
        expected = [service.answer([{"body": body}])[0][0].body for body in bodies]
        answers = list(clients.map(films.post, bodies))
    assert [answer.content for answer in answers] == expected
    assert films.get("models/ncf", None).status_code == 401
    assert films.get("v2/models/ncf").json()["versions"] == [bundle.digest[:12]]
    assert films.get("predictions/ncf").status_code == 405
    assert films.reload(TOKEN).status_code == 403
    assert films.counted("ncf_requests_total", model="ncf") == 40
