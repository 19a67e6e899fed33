"""Write the TorchServe archive: bundle, handler, scoring code and settings in one file.

torch-model-archiver makes the manifest and packs the file. It is then rewritten with fixed times
and order, so that the same inputs give the same bytes.
"""

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import BinaryIO

from export.handler_code import HANDLER, ROOT, handler_code
from ncf.archives import bundle_digest

CONFIG = "model-config.yaml"

# A short retry: a worker that cannot load fails soon, not after the default five minutes.
_SETTINGS = """\
minWorkers: 1
maxWorkers: 4
batchSize: 16
maxBatchDelay: 5
responseTimeout: 20
startupTimeout: 120
maxRetryTimeoutInSec: 10
"""

_MANIFEST = "MAR-INF/MANIFEST.json"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_EARLIEST = 366 * 24 * 3600 * 10  # seconds; some days into 1980, in any time zone
_READABLE = 0o100644 << 16
_CHUNK_BYTES = 1 << 20


def write_archive(bundle: Path, name: str, version: str, scratch: Path, target: BinaryIO) -> None:
    """Pack a bundle into an archive.

    Parameters
    ----------
    bundle : Path
        A sealed bundle.
    name, version : str
        Name and version of the model in TorchServe.
    scratch : Path
        An empty folder on the bundle's disk.
    target : binary file
        Receives the archive.
    """
    content = scratch / "content"
    # Not copytree: it sets modes and times of folders, which not every file system lets it.
    (content / "bundle").mkdir(parents=True)
    for path in bundle.iterdir():
        _link(path, content / "bundle" / path.name)
    for relative in handler_code():
        (content / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / relative, content / relative)
    shutil.copyfile(ROOT / HANDLER, content / Path(HANDLER).name)
    (content / CONFIG).write_text(_SETTINGS)
    _pack(content, name, version, scratch)
    _normalise(scratch / f"{name}.mar", target)


def archived_digest(archive: Path) -> str | None:
    """Read the digest of the bundle in an archive; None if there is no bundle."""
    try:
        with zipfile.ZipFile(archive) as file:
            return bundle_digest(file)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return None


def _link(source: Path, target: Path) -> None:
    """Link a file, or copy it if the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _pack(content: Path, name: str, version: str, folder: Path) -> None:
    # Imported here, because checking an archive does not need the archiver.
    from model_archiver.model_archiver_config import ModelArchiverConfig  # noqa: PLC0415
    from model_archiver.model_packaging_utils import ModelExportUtils  # noqa: PLC0415

    config = ModelArchiverConfig(
        model_name=name,
        version=version,
        handler=Path(HANDLER).name,
        config_file=CONFIG,
        runtime="python",
        export_path=None,
        archive_format="zip-store",
    )
    for path in content.rglob("*"):
        # A clock or a file system that begins in 1970: zip files begin in 1980.
        if path.is_file() and path.stat().st_mtime < _EARLIEST:
            os.utime(path, (_EARLIEST, _EARLIEST))
    manifest = ModelExportUtils.generate_manifest_json(config)
    ModelExportUtils.archive(str(folder), name, str(content), manifest, "zip-store")


def _normalise(archive: Path, target: BinaryIO) -> None:
    """Rewrite an archive: sorted, not compressed, with one fixed time and no creation time."""
    with zipfile.ZipFile(archive) as before, zipfile.ZipFile(target, "w") as after:
        for name in sorted(before.namelist()):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.external_attr = _READABLE
            if name == _MANIFEST:
                described = json.loads(before.read(name))
                described["createdOn"] = "01/01/1980 00:00:00"
                after.writestr(entry, json.dumps(described, indent=2, sort_keys=True))
                continue
            with before.open(name) as source, after.open(entry, "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink, _CHUNK_BYTES)
