"""Who may ask: bearer tokens; and who did: a line for each request."""

import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from handlers.replies import Reply, error_reply
from handlers.routes import Route

ACCESS_LOGGER = "ncf.access"
_SCHEME = b"bearer "


@dataclass(frozen=True)
class Access:
    """Tokens that requests need.

    Parameters
    ----------
    token : str or None
        Bearer token of predictions and descriptions; None lets everybody ask.
    admin : str or None
        Bearer token of ``POST /reload``; None lets nobody.
    """

    token: str | None = field(default=None, repr=False)
    admin: str | None = field(default=None, repr=False)

    def refusal(self, route: Route, headers: Mapping[bytes, bytes]) -> Reply | None:
        """Refuse a request without the token that its route needs; None lets it pass."""
        if route.open:
            return None
        expected = self.admin if route.admin else self.token
        if expected is None:
            if not route.admin:
                return None
            return error_reply(403, "forbidden", "the server has no admin token")
        given = headers.get(b"authorization", b"")
        known = given[: len(_SCHEME)].lower() == _SCHEME
        if known and hmac.compare_digest(given[len(_SCHEME) :].strip(), expected.encode()):
            return None
        return error_reply(
            401, "unauthorised", "send Authorization: Bearer TOKEN", tensors=route.tensors
        )


class AccessLog:
    """Writes a JSON object for each request to the logger ``ncf.access``."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(ACCESS_LOGGER)

    def write(
        self, scope: Mapping[str, Any], reply: Reply, request_id: bytes, seconds: float
    ) -> None:
        """Log one request; neither its query nor its body is logged."""
        client = scope.get("client")
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": reply.status,
            "bytes": len(reply.body),
            "milliseconds": round(1000 * seconds, 3),
            "request_id": request_id.decode(),
        }
        self._logger.info("%s", json.dumps(line, separators=(",", ":")))
