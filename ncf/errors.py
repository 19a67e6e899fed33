"""Define the errors that the toolkit raises on purpose, with exit codes and HTTP statuses.

Every message is one line: where (file, line, id, field), what is wrong, and what to do. A message
names parameters of the call in back quotes, with a value where that matters: `k`,
`mode="exact"`. The command line shows its options instead: -k, --mode exact.
"""

import re

FAULT = 1
"""Exit code of a fault of ours."""
BAD_INPUT = 2
"""Exit code of wrong usage or bad input: trying again is no use."""
HELD = 3
"""Exit code of a run that failed a gate: it is whole, and set aside."""
NOT_PROVEN = 4
"""Exit code of a commit that did not prove its recall, and has planned the next try."""
TEMPORARY = 75
"""Exit code of what may be gone when the same command runs again (``EX_TEMPFAIL``)."""
INTERRUPTED = 130
"""Exit code of Ctrl-C and SIGTERM."""

# KEY:SECRET@ of a URI, but not HOST:PORT/ before a name with an @.
_CREDENTIALS = re.compile(r"(?<=://)[^/@:\s]+:(?!\d+/)[^@\s]+@")
# What options of a URI hold: a signature of Azure, a password of PostgreSQL.
_SECRETS = re.compile(
    r"""(?i)(?<=[?&])((?:sig|[\w-]{0,40}(?:secret|password|token|signature|_key)[\w-]{0,40})=)"""
    r"""[^&\s'"`]*[^&\s'"`:;,)]"""
)


def without_credentials(text: str) -> str:
    """Hide the credentials of URIs in a text.

    Examples
    --------
    >>> without_credentials("s3://key:secret@bucket/topk")
    's3://***@bucket/topk'
    >>> without_credentials("abfs://box@host/topk?sv=1&sig=abc%3D: not there")
    'abfs://box@host/topk?sv=1&sig=***: not there'
    """
    return _SECRETS.sub(r"\1***", _CREDENTIALS.sub("***@", text))


class NcfError(Exception):
    """Root of the tree of errors that the toolkit raises on purpose.

    Parameters
    ----------
    problem : str
        What is wrong.
    where : object, optional
        The file, ``file:line``, id or field that is wrong.
    remedy : str, optional
        What the reader can do about it; if not given, the remedy of the class.

    Examples
    --------
    >>> print(RatingsError("rating 'x' is not a number", where="ratings.csv:3"))
    ratings.csv:3: rating 'x' is not a number; correct the file and run the same command again
    """

    exit_code = BAD_INPUT
    http_status = 400
    code = "bad_request"
    remedy = ""

    def __init__(self, problem: str, *, where: object = None, remedy: str | None = None) -> None:
        prefix = "" if where is None else f"{where}: "
        given = self.remedy if remedy is None else remedy
        suffix = f"; {given}" if given else ""
        line = " ".join(f"{prefix}{problem}{suffix}".splitlines())
        line = without_credentials(line)  # errors end up in logs, which many may read
        # Names and ids come from files; they must not contain control codes of a terminal.
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


class UsageError(NcfError):
    """An argument or a combination of arguments makes no sense."""

    remedy = "`help` shows what it takes"


class ConfigError(NcfError):
    """A configuration file or value is unknown or out of range."""

    remedy = "'python -m pydoc ncf.training.recipe' lists the keys and their ranges"


class RatingsError(NcfError):
    """A file of ratings, titles or ids cannot be read as it stands."""

    remedy = "correct the file and run the same command again"


class SourceError(NcfError):
    """No source has the data set, or the file differs from its pinned checksum."""


class UnreachableError(NcfError):
    """A server, an object store or another process does not answer now."""

    exit_code = TEMPORARY
    http_status = 503
    remedy = "check the address and the network, and run the same command again"


class ArtifactError(NcfError):
    """A folder that the toolkit wrote is missing, damaged, too new or of another origin."""

    remedy = "make it again with the command that wrote it"


class RequestError(NcfError):
    """A request to a served model asks for something that cannot be answered.

    Parameters
    ----------
    problem : str
        What is wrong.
    remedy : str, optional
        What to send instead.
    code : str
        A word that programs can test for.
    http_status : int
        400, or 404 for an unknown user.
    """

    def __init__(
        self, problem: str, *, remedy: str = "", code: str = "bad_request", http_status: int = 400
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.code = code
        self.http_status = http_status


class ParityError(NcfError):
    """An exported graph and the PyTorch model disagree."""

    exit_code = FAULT
    http_status = 500


class CapabilityError(NcfError):
    """The machine lacks something that was asked for, such as CUDA."""

    http_status = 503


class ServerError(NcfError):
    """The server that was started does not answer, or ended by itself."""

    exit_code = TEMPORARY
    http_status = 503
    remedy = "read the logs in the folder `state`"


class LockedError(NcfError):
    """Another process is writing the same output."""

    exit_code = TEMPORARY
    http_status = 503


class InterruptedWorkError(NcfError):
    """A training or a batch was interrupted; the message says what is kept and how to go on."""

    exit_code = INTERRUPTED
    http_status = 503


class StorageError(NcfError):
    """The output folder cannot be written: read-only, forbidden, or of something else."""

    http_status = 507
    remedy = "choose another output folder"


class GateError(NcfError):
    """A run failed a gate; if it was just made, it is set aside and LATEST is as it was."""

    exit_code = HELD
    http_status = 503


class DateTakenError(NcfError):
    """A run of the date is there already, and is not replaced.

    Parameters
    ----------
    problem : str
        What is wrong.
    run : str
        Name of the run.
    where : object
        Where it is.
    """

    http_status = 409
    remedy = "give another date; or none, and what is made now is the newest table"

    def __init__(self, problem: str, run: str, *, where: object) -> None:
        super().__init__(problem, where=where)
        self.run = run


class NotProvenError(NcfError):
    """The parts of a plan did not prove the recall that was asked for; the next try is planned."""

    exit_code = NOT_PROVEN
    http_status = 503
    remedy = "work on the plan that is named, and commit again"


class FullDiskError(StorageError):
    """The disk, a quota or the largest file size is used up."""

    exit_code = TEMPORARY
    remedy = "free some space and run the same command again"
