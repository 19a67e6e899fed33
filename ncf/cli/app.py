"""Define the command tree, and turn errors into one line and an exit code."""

import errno
import io
import logging
import os
import signal
import sys
from types import FrameType

import typer

from ncf.cli import (
    batch,
    batch_plan,
    batch_publish,
    batch_work,
    check,
    compare,
    diff,
    doctor,
    evaluate,
    export,
    fetch,
    forget,
    init,
    prepare,
    push,
    recommend,
    report,
    serve,
    show,
    similar,
    torchserve_config,
    train,
    tune,
    verify,
)
from ncf.cli.flags import Command, Flags, Group
from ncf.devices import keep_to_quota, share_cores
from ncf.errors import BAD_INPUT, FAULT, INTERRUPTED, TEMPORARY, NcfError, UsageError
from ncf.extras import needed_by
from ncf.files import is_full

logger = logging.getLogger(__name__)

_UNREACHABLE = {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.ENETDOWN,
    errno.ESTALE,
    errno.EREMOTEIO,
    errno.ENOLCK,
}
_FREE_SPACE = "no space left on the disk: free some and run the same command again"
_TRY_AGAIN = "check the address and the network, and run the same command again"
_CHECK_PATH = "check the path, its disk and its permissions"

app = typer.Typer(
    name="ncf",
    help="Neural collaborative filtering from a ratings file to production.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)
_data = typer.Typer(help="Fetch public data sets and prepare ratings files.")
_data.command("fetch", cls=Command)(fetch.fetch)
_data.command("prepare", cls=Command)(prepare.prepare)
app.add_typer(_data, name="data")
_batch = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
_batch.callback()(batch.batch)
_batch.command("plan", cls=Command)(batch_plan.plan)
_batch.command("work", cls=Command)(batch_work.work)
_batch.command("commit", cls=Command)(batch_work.commit)
_batch.command("publish", cls=Command)(batch_publish.publish)
_batch.command("rollback", cls=Command)(batch_publish.rollback)
_batch.command("show", cls=Command)(show.show)
app.add_typer(_batch, name="batch")
_init = typer.Typer(help="Print files to begin with.")
_init.command("gates", cls=Command)(init.gates)
_init.callback()(lambda: None)
app.add_typer(_init, name="init")
for _command in (
    train.train,
    tune.tune,
    evaluate.evaluate,
    compare.compare,
    export.export,
    recommend.recommend,
    similar.similar,
    serve.serve,
    check.check,
    torchserve_config.torchserve_config,
    diff.diff,
    push.push,
    forget.forget,
    report.report,
    verify.verify,
    doctor.doctor,
):
    app.command(_command.__name__.replace("_", "-"), cls=Command)(_command)


class _CurrentStderr:
    """Writes to the current standard error, which a progress bar may have replaced."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def main() -> None:
    """Run the command line; the exit codes are 0 for done, and those of :mod:`ncf.errors`."""
    keep_to_quota()
    share_cores()
    flags = _log_to_stderr()
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if sys.argv[1:] in ([], ["data"], ["init"]):
        sys.argv.append("--help")
    try:
        # Typer turns Ctrl-C into this code, and prints nothing.
        if (code := _run(flags)) == INTERRUPTED:
            _complain("interrupted", code)
    except NcfError as error:
        code = _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        # All of it is about what was typed, a file that cannot be opened too.
        code = _complain(f"{error.format_message()}; {UsageError.remedy}", BAD_INPUT)
    except KeyboardInterrupt:
        code = _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe: nobody would see a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAULT
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        code, remedy = _judged(error)
        _complain(f"{reason}; {remedy}", code)
    sys.exit(code)


def _run(flags: Flags) -> int:
    """Run the command; if a package of an extra is missing, name the extra."""
    with needed_by(f"'ncf {sys.argv[1]}'"):
        code: int = app(standalone_mode=False, prog_name="ncf", obj=flags)
    return code


def _judged(error: OSError) -> tuple[int, str]:
    """Exit code and remedy of an error of the operating system."""
    if is_full(error):
        return TEMPORARY, _FREE_SPACE
    if isinstance(error, ConnectionError | TimeoutError) or error.errno in _UNREACHABLE:
        return TEMPORARY, _TRY_AGAIN
    return BAD_INPUT, _CHECK_PATH


def _log_to_stderr() -> Flags:
    """Show log lines on standard error, with options in place of parameters."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=_CurrentStderr())
    for library in ("urllib3", "matplotlib"):
        logging.getLogger(library).setLevel(logging.ERROR)  # our own log lines say what failed
    flags = Flags()
    for handler in logging.getLogger().handlers:
        handler.addFilter(flags)
    return flags


def _complain(message: str, code: int) -> int:
    # Written as a log line, so that it is JSON where the log is JSON.
    logger.error("ncf: %s", " ".join(message.split()))
    return code


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    raise KeyboardInterrupt
