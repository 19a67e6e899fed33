"""A loaded bundle that answers rows: what the handler calls, testable without TorchServe."""

import logging
from collections.abc import Mapping
from pathlib import Path

from handlers.requests import decode, encode, encode_error
from ncf.devices import Device
from ncf.errors import NcfError
from ncf.scoring.bundle import open_bundle
from ncf.scoring.golden import replay
from ncf.scoring.ranking import GraphRanker
from ncf.scoring.recommend import Recommender

logger = logging.getLogger(__name__)

_SHORT = 12


class Service:
    """Answers rows from one bundle.

    Parameters
    ----------
    folder : Path
        The bundle; its digests are checked and its golden requests replayed first.

    Raises
    ------
    RuntimeError
        The bundle is damaged, or does not answer as it did when it was exported.
    """

    def __init__(self, folder: Path) -> None:
        try:
            bundle = open_bundle(folder)
            ranker = GraphRanker.open(bundle, Device.AUTO, threads=1)
            self._recommender = Recommender(bundle, ranker)
            replay(bundle, self._recommender)
        except NcfError as error:
            # TorchServe reports only this kind of error from a load as what it is.
            raise RuntimeError(str(error)) from error
        self.model = bundle.digest[:_SHORT]

    def answer(self, row: Mapping[str, object]) -> tuple[int, bytes]:
        """HTTP status and JSON of one row; never raises."""
        try:
            request = decode(row)
            found = self._recommender.recommend(request.user, request.wishes)
            return 200, encode(found, self.model)
        except NcfError as error:
            return error.http_status, encode_error(error.code, str(error))
        except Exception:
            logger.exception("a row failed")
            return 500, encode_error("internal", "scoring failed; see the server's log")
