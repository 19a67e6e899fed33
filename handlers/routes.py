"""Find what a request asks for by its method and path."""

from typing import NamedTuple

from handlers import tensors
from handlers.models import Models
from handlers.replies import Reply, error_reply, json_reply
from ncf.version import __version__

_FIXED = {
    "/ping": "ready",  # SageMaker's health check
    "/readyz": "ready",
    "/healthz": "live",
    "/metrics": "metrics",
    "/reload": "reload",
    "/invocations": "predict",  # SageMaker's predictions
    "/v2": "server",
    "/v2/health/live": "live",
    "/v2/health/ready": "ready",
}
_VERBS = {"infer": "predict", "ready": "ready"}
_NO_PATH = "no such path"
_POST = {"predict", "reload"}
_OPEN = {"ready", "live", "metrics"}


class Route(NamedTuple):
    """What a request asks for.

    Parameters
    ----------
    action : str
        ``predict``, ``ready``, ``live``, ``metrics``, ``reload``, ``server``, ``model`` or
        ``facts``.
    model : str
        Name of the model.
    tensors : bool
        Whether this is a route of KServe's V2 protocol.
    """

    action: str
    model: str
    tensors: bool = False

    @property
    def open(self) -> bool:
        """Whether it needs no token."""
        return self.action in _OPEN

    @property
    def admin(self) -> bool:
        """Whether it needs the admin token."""
        return self.action == "reload"

    @property
    def asks(self) -> bool:
        """Whether it asks for lists, with a body."""
        return self.action == "predict"

    def describe(self, models: Models) -> Reply:
        """Answer what needs no scoring."""
        if self.action == "live":
            return json_reply({"live": True})
        if self.action == "server":
            return json_reply(
                {"name": "ncf", "version": __version__, "extensions": tensors.EXTENSIONS}
            )
        service = models[self.model]
        if self.action == "model":
            return json_reply(tensors.metadata(self.model, service.model))
        return Reply(200, service.describe())


def find_route(method: str, path: str, models: Models) -> Route | Reply:
    """Find the route of a request, or the answer that refuses it."""
    v2 = path == "/v2" or path.startswith("/v2/")
    route = _route(path.rstrip("/") or "/", models, v2=v2)
    if isinstance(route, str):
        return error_reply(404, "not_found", route, tensors=v2)
    allowed = ("POST",) if route.action in _POST else ("GET", "HEAD")
    if method in allowed:
        return route
    refused = error_reply(405, "method_not_allowed", f"use {allowed[0]} here", tensors=v2)
    return Reply(405, refused.body, headers=((b"allow", ", ".join(allowed).encode()),))


def _route(path: str, models: Models, *, v2: bool) -> Route | str:
    """Find the route of a path, or say what is not found."""
    action = _FIXED.get(path)
    if action is not None:
        return Route(action, models.first, tensors=v2)
    match path.split("/")[1:]:
        case ["predictions", name, *rest]:
            action = "predict"
        case ["models", name, *rest]:
            action = "facts"
        case ["v2", "models", name, *rest]:
            action = "model"
            rest = rest[1:] if rest[:1] == ["versions"] else ["", *rest]
        case _:
            return _NO_PATH
    return _of_model(Route(action, name, tensors=v2), rest, models)


def _of_model(route: Route, rest: list[str], models: Models) -> Route | str:
    name = route.model
    if name not in models:
        return f"no model {name[:100]!r}; there are: {', '.join(models.names())}"
    version, *verbs = rest or [""]
    if version not in {"", models[name].model, models[name].digest}:
        return f"the model has the version {models[name].model} alone"
    if not verbs:
        return route
    if route.tensors and len(verbs) == 1 and verbs[0] in _VERBS:
        return Route(_VERBS[verbs[0]], name, tensors=True)
    return _NO_PATH
