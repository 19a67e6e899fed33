"""Make the ASGI application, to run alone or within Starlette, FastAPI or Ray Serve.

::

    NCF_BUNDLE=model_store/ncf uvicorn --factory handlers.asgi:from_environment

    app = Starlette(routes=[Mount("/ncf", application({"ncf": "model_store/ncf"}))])
"""

import os
from collections.abc import Mapping
from pathlib import Path

from handlers.access import Access
from handlers.application import Application
from handlers.models import Models
from ncf.errors import UsageError

_FOLLOW = 2.0  # seconds


def application(
    bundles: Mapping[str, str | Path], token: str | None = None, lanes: int = 1
) -> Application:
    """Make an application to run by itself or within another; it follows the bundles' folders.

    Parameters
    ----------
    bundles : mapping
        Folders of bundles by name.
    token : str, optional
        Bearer token that requests need.
    lanes : int
        Calls of a graph that may run side by side.

    Raises
    ------
    ArtifactError
        A bundle is damaged, or its answers differ from those at export.
    """
    models = Models({name: Path(folder) for name, folder in bundles.items()}, lanes=lanes)
    return Application(models, Access(token), follow=_FOLLOW)


def from_environment() -> Application:
    """Make an application of ``NCF_BUNDLE``, ``NCF_NAME`` (ncf) and ``NCF_TOKEN`` (none).

    Raises
    ------
    UsageError
        ``NCF_BUNDLE`` is not set.
    ArtifactError
        The bundle is damaged, or its answers differ from those at export.
    """
    bundle = os.environ.get("NCF_BUNDLE")
    if not bundle:
        raise UsageError("NCF_BUNDLE is not set", remedy="set it to the folder of a bundle")
    name = os.environ.get("NCF_NAME") or "ncf"
    return application({name: bundle}, os.environ.get("NCF_TOKEN") or None)
