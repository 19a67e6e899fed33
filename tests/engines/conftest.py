"""What batches on engines are run with: the files of a night, and a bundle that needs two tries."""

import json
import shutil

import pandas as pd
import pytest

from ncf.artifacts import seal
from ncf.scoring.bundle import Bundle, open_bundle
from ncf.scoring.manifest import BUNDLE

_SEAL = {"digest", "files", "schema_version"}


@pytest.fixture(scope="session")
def night(screened_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of a night: interactions of users and strangers, who gets a list, what nobody gets."""
    folder = tmp_path_factory.mktemp("night")
    users, items = list(screened_bundle.users.raw), list(screened_bundle.items.raw)
    seen = [(user, items[place % 30]) for place, user in enumerate(users[:40])]
    seen += [(f"zoe {n}", items[3 * place]) for n in range(30) for place in range(n % 6)]
    asked = [*users[::2], "zoe 3", "zoe 29", "nobody"]
    frames = {
        "seen": pd.DataFrame(seen, columns=["user_id", "item_id"]),
        "users": pd.DataFrame({"user_id": asked}),
        "exclude_items": pd.DataFrame({"item_id": items[:2]}),
        "exclude_pairs": pd.DataFrame(
            [(user, items[7]) for user in users[:9]], columns=["user_id", "item_id"]
        ),
    }
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return {name: str(folder / f"{name}.csv") for name in frames}


@pytest.fixture(scope="session")
def narrow_bundle(screened_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose calibration names too few candidates, so that the first try proves nothing."""
    folder = tmp_path_factory.mktemp("narrow") / "ncf"
    shutil.copytree(screened_bundle.path, folder)
    document = json.loads((folder / "bundle.json").read_text())
    for each in document["screen"]["by_k"]:
        each["candidates"] = each["k"] + 1
    (folder / "bundle.json").unlink()
    seal(folder, BUNDLE, {key: document[key] for key in document.keys() - _SEAL})
    return open_bundle(folder)
