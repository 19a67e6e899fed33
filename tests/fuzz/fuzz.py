"""Fuzz one target with Atheris, guided by the branches of our code that an input reaches.

    python -m tests.fuzz.fuzz TARGET [--seconds 60] [--new FOLDER]

Starts from the inputs kept under ``tests/fuzz/corpus/TARGET``; what reaches new branches goes to
``--new``, and an input that makes anything but a result or an NcfError to ``crash-*`` there, with
exit code 1. To keep a find, make it small and put it into the corpus, which ``make test`` replays.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import atheris

CORPUS = Path(__file__).with_name("corpus")
_LONGEST = 1 << 14  # bytes of an input


def main() -> None:
    """Fuzz, and end with libFuzzer's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--new", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    arguments = parser.parse_args()
    with atheris.instrument_imports(include=["ncf", "handlers"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - what is imported here is watched
    if arguments.target not in TARGETS:
        parser.error(f"the targets are {', '.join(TARGETS)}")
    logging.disable(logging.CRITICAL)
    new: Path = arguments.new or Path(tempfile.mkdtemp(prefix="ncf-fuzz-new-"))
    new.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={_LONGEST}",
        f"-artifact_prefix={new}/",
        f"-seed={arguments.seed}",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        [sys.argv[0], *options, str(new), str(CORPUS / arguments.target)],
        TARGETS[arguments.target],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
