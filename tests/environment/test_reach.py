"""Every connection and every write of the whole way, told by Python's audit hooks (PEP 578)."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.contract.test_cli import QUICK, WHOLE_WAY

COMMANDS = (
    *WHOLE_WAY,
    "evaluate --checkpoint checkpoints/pre --data data/mine --protocol full",
    "compare checkpoints/pre checkpoints/pre --data data/mine",
    "recommend --bundle model_store/ncf --user u1 -k 3",
    "similar --bundle model_store/ncf --item film\xa01 -k 3",
    "batch show --out topk --user u1",
    "verify --bundle model_store/ncf",
    "tune --data data/mine --model gmf --minutes 0.1 --trials 1 --config quick.toml --out t.toml",
    "doctor",
)
_WATCH = """
import json, os, sys
from pathlib import Path
found = {"asked": [], "written": []}
CALLS = {"socket.connect": 1, "socket.sendto": 1}
CALLS |= {"socket.getaddrinfo": 0, "socket.gethostbyname": 0}
MADE = {"os.mkdir": 0, "os.rename": 1, "os.symlink": 1, "os.link": 1, "os.truncate": 0}
def watch(event, given):
    if event in CALLS:
        found["asked"].append(f"{event} {given[CALLS[event]]}")
    elif event in MADE or event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        path = given[MADE.get(event, 0)]
        if not isinstance(path, int):
            found["written"].append(os.path.abspath(os.fsdecode(path)))
sys.addaudithook(watch)
from ncf.cli import main
codes = []
for command in json.loads(sys.argv[1]):
    sys.argv = ["ncf", *(word.replace("\\xa0", " ") for word in command.split(" "))]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code or 0)
print(json.dumps({**found, "codes": codes}), file=sys.__stdout__)
"""


def test_the_whole_way_asks_nobody_and_writes_where_it_was_told_to(
    ratings_file: Path, tmp_path: Path
) -> None:
    work, home, temporary = (tmp_path / name for name in ("work", "home", "temporary"))
    for folder in (work, home, temporary):
        folder.mkdir()
    (work / "ratings.csv").write_bytes(ratings_file.read_bytes())
    (work / "titles.csv").write_text("item_id,title\nfilm 1,Kolya\n")
    (work / "quick.toml").write_text(QUICK)
    names = {"CI", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY"}
    names.add("TORCHINDUCTOR_CACHE_DIR")  # PyTorch sets it in who imports it
    kept = {name: value for name, value in os.environ.items() if name not in names}
    environment = {**kept, "HOME": str(home), "TMPDIR": str(temporary)}
    ended = subprocess.run(
        [sys.executable, "-B", "-c", _WATCH, json.dumps(COMMANDS)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["codes"] == [0] * len(COMMANDS), ended.stderr
    assert found["asked"] == []
    allowed = (f"{work}/", f"{temporary}/", "/dev/", "/proc/self/")
    assert {path for path in found["written"] if not f"{path}/".startswith(allowed)} == set()
    assert len(found["written"]) > 100  # the watch does see
    assert list(home.iterdir()) == []
