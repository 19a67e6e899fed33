"""The environment variables of TorchServe: ours, and what it takes over from the user's."""

import logging
import os
import shlex
import sys
from pathlib import Path

from ncf.doctor import find_java
from ncf.errors import CapabilityError
from ncf.extras import install, require
from ncf.serving.settings import Settings

logger = logging.getLogger(__name__)

_OTHERS_SETTINGS = "TS_"  # begins variables that outdo or add to the settings given
_OF_JAVA = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
# Java takes the names of files for ASCII where the locale is C, or one that is not installed.
_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"


def inherited() -> dict[str, str]:
    """Take over the user's variables, but none that sets TorchServe; name what sets Java."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(_OTHERS_SETTINGS)
    }
    for name in filter(kept.get, _OF_JAVA):
        logger.warning("%s is set: TorchServe's Java takes it too, %s", name, kept[name])
    return kept


def environment(settings: Settings, workers: int) -> dict[str, str]:
    """Make the variables of ``torchserve`` that are set beside the inherited ones.

    Raises
    ------
    CapabilityError
        There is no Java.
    """
    require("ts", "torch", "yaml", user="'ncf serve'")
    java = find_java()
    if java is None:
        raise CapabilityError(
            "TorchServe needs Java 17 or later",
            remedy=f"install one, or {install('torchserve')}",
        )
    return {
        "TEMP": str(settings.temporary),  # becomes java.io.tmpdir, for archives and sockets
        "TMPDIR": str(settings.temporary),  # for TorchServe's pid file, else one for the machine
        "LOG_LOCATION": str(settings.logs),
        "METRICS_LOCATION": str(settings.logs),
        "JAVA_HOME": str(Path(java).parent.parent),
        "LC_ALL": _LOCALE,
        "ORT_DISABLE_TELEMETRY": "1",  # an archive of before does not do it by itself
        "NCF_WORKERS": str(workers),
    }


def start_command(settings: Settings) -> str:
    """Write shell lines that start ``torchserve`` with these settings and one worker.

    Raises
    ------
    CapabilityError
        There is no Java.
    """
    assigned = [f"{name}={value}" for name, value in environment(settings, 1).items()]
    program = [sys.executable, "-m", "ts.model_server", *settings.arguments()]
    unset = sorted(name for name in os.environ if name.startswith(_OTHERS_SETTINGS))
    others = [word for name in {"TS_CONFIG_FILE", *unset} for word in ("-u", name)]
    words = ["env", *others, *assigned, *program]
    return f"cd {shlex.quote(str(settings.state))}\n{shlex.join(words)}"
