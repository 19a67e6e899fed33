"""What TorchServe and its Java take over from the environment, and what they do not."""

import logging
import os
from pathlib import Path

import pytest

from ncf.errors import UsageError
from ncf.serving.environment import environment, inherited, start_command
from ncf.serving.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, "ncf", tmp_path / "state")


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1", "xx_XX.UTF-8"])
def test_java_gets_a_locale_of_utf_8_and_no_telemetry(
    locale: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    made = inherited() | environment(settings, 1)
    assert made["LC_ALL"] == "C.UTF-8"
    assert made["ORT_DISABLE_TELEMETRY"] == "1"


def test_variables_that_set_torchserve_are_not_inherited(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("TS_CONFIG_FILE", "TS_OPEN_INFERENCE_PROTOCOL", "TS_DEBUG")
    for name in names:
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("OURS", "kept")
    assert not set(names) & set(inherited())
    assert inherited()["OURS"] == "kept"
    assert all(f"-u {name}" in start_command(settings) for name in names)


@pytest.mark.parametrize("name", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"])
def test_options_of_java_are_inherited_and_named(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "-Dours=yes")
    with caplog.at_level(logging.WARNING):
        assert inherited()[name] == "-Dours=yes"
    assert any(line.startswith(f"{name} is set") for line in caplog.messages)


def test_java_keeps_no_figures_in_tmp(settings: Settings) -> None:
    assert "-XX:-UsePerfData" in settings._config()
    assert os.environ.get("TS_CONFIG_FILE") is None


@pytest.mark.parametrize("name", ["a%41b", "a#b", "a?b"])
def test_a_state_that_log4j_would_take_for_a_url_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TorchServe takes for part of a URL; choose another"):
        Settings(tmp_path, "ncf", tmp_path / name).make_folders()
    assert not (tmp_path / name).exists()
