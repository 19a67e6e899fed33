"""Write the settings of a TorchServe that only this machine can reach, as the files it reads."""

import errno
import socket
from dataclasses import dataclass, fields
from pathlib import Path

from ncf.errors import ArtifactError, UnreachableError, UsageError
from ncf.files import storage_errors
from ncf.serving.logs import log_config

HOST = "127.0.0.1"
CONFIG_FILE = "config.properties"
LOG_CONFIG_FILE = "log4j2.xml"
TOKEN_FILE = "key_file.json"  # noqa: S105 - a name that TorchServe gives
_UNFIT = "%#?"  # Log4j would find no settings, and log nothing
_LONGEST_SOCKET = 100  # bytes of a Unix socket's path, of the 108 that Linux allows


@dataclass(frozen=True)
class Ports:
    """Ports on loopback, named as the options are."""

    port: int = 8080
    management_port: int = 8081
    metrics_port: int = 8082
    grpc_port: int = 7070
    grpc_management_port: int = 7071

    def check_free(self) -> None:
        """Refuse ports that another program listens on.

        Raises
        ------
        UsageError
            A port cannot be used, or two are equal.
        UnreachableError
            Another program listens on one; it may be gone when the command runs again.
        """
        taken: set[int] = set()
        for field in fields(self):
            option, number = f"`{field.name}`", getattr(self, field.name)
            if number in taken:
                raise UsageError(f"{option} {number} is given twice", remedy="choose another")
            if number < 1:
                raise UsageError(f"{option} {number} is not a port", remedy="choose from 1024 on")
            taken.add(number)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, number))
                except (OSError, OverflowError) as error:
                    if getattr(error, "errno", None) == errno.EADDRINUSE:
                        raise UnreachableError(
                            f"port {number} on {HOST} is taken",
                            remedy=f"stop what listens there, or choose another with {option}",
                        ) from error
                    raise UsageError(
                        f"port {number} on {HOST} cannot be used ({error})",
                        remedy=f"choose another with {option}",
                    ) from error


@dataclass(frozen=True)
class Settings:
    """Settings of one server.

    Parameters
    ----------
    store : Path
        Folder of exported models.
    name : str
        Name of the model; its archive is ``NAME.mar``.
    state : Path
        Folder of logs, tokens and temporary files.
    ports : Ports
        Ports to listen on, always on loopback.
    model_api : bool
        Whether models may be registered and removed while it runs.
    token_minutes : int
        Minutes until a token expires.
    """

    store: Path
    name: str
    state: Path
    ports: Ports = Ports()
    model_api: bool = False
    token_minutes: int = 24 * 60

    @property
    def archive(self) -> Path:
        """Path of the archive that is served first."""
        return self.store / f"{self.name}.mar"

    @property
    def logs(self) -> Path:
        """Path of the folder of logs."""
        return self.state / "logs"

    @property
    def temporary(self) -> Path:
        """Path of the folder of unpacked archives and of sockets to workers."""
        return self.state / "tmp"

    @property
    def url(self) -> str:
        """Address of predictions."""
        return f"http://{HOST}:{self.ports.port}"

    @property
    def management_url(self) -> str:
        """Address of the management API."""
        return f"http://{HOST}:{self.ports.management_port}"

    def make_folders(self) -> None:
        """Make the state folder, readable by its owner alone.

        Raises
        ------
        UsageError
            The path is too long for the sockets in it, or TorchServe would take it for a URL.
        StorageError
            The folder cannot be written.
        """
        if len(bytes(self.temporary / ".ts.sock.90000")) > _LONGEST_SOCKET:
            raise UsageError(
                "path too long for Unix sockets",
                where=self.state,
                remedy="choose a shorter `state`",
            )
        if found := set(_UNFIT) & set(str(self.state.absolute())):
            raise UsageError(
                f"the path holds {min(found)!r}, which TorchServe takes for part of a URL",
                where=self.state,
                remedy="choose another `state`",
            )
        with storage_errors(self.state):
            for folder in (self.state, self.logs, self.temporary):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self) -> None:
        """Write TorchServe's files into the state folder.

        Raises
        ------
        ArtifactError
            There is no archive.
        StorageError
            The folder cannot be written.
        """
        if not self.archive.is_file():
            raise ArtifactError(
                "no such archive", where=self.archive, remedy="'ncf export' writes it"
            )
        self.make_folders()
        with storage_errors(self.state):
            (self.state / CONFIG_FILE).write_text(self._config(), encoding="utf-8")
            (self.state / LOG_CONFIG_FILE).write_text(log_config(self.logs), encoding="utf-8")

    def arguments(self) -> list[str]:
        """List the arguments of ``torchserve``, to be run in the state folder."""
        words = f"--start --foreground --ncs --models {self.name}={self.name}.mar".split()
        paths = {
            "--model-store": self.store,
            "--ts-config": self.state / CONFIG_FILE,
            "--log-config": self.state / LOG_CONFIG_FILE,
        }
        return words + [str(word) for option in paths.items() for word in option]

    def _config(self) -> str:
        ports = self.ports
        return f"""\
# Written by 'ncf serve'. See docs/operations.md.
inference_address={self.url}
management_address={self.management_url}
metrics_address=http://{HOST}:{ports.metrics_port}
grpc_inference_address={HOST}
grpc_management_address={HOST}
grpc_inference_port={ports.grpc_port}
grpc_management_port={ports.grpc_management_port}
disable_token_authorization=false
token_expiration_min={self.token_minutes}
enable_model_api={str(self.model_api).lower()}
# Matches no address: archives come from the model store alone.
allowed_urls=none
install_py_dep_per_model=false
enable_envvars_config=false
use_env_allowed_urls=false
# The handler parses JSON itself; TorchServe would log each failure with a traceback.
decode_input_request=false
max_request_size=6553500
max_response_size=6553500
metrics_mode=prometheus
model_metrics_auto_detect=true
disable_system_metrics=true
# No hsperfdata in /tmp.
vmargs=-Xmx512m -XX:-UsePerfData
"""
