"""HTTP connections that take from the environment what belongs to them, and nothing else.

By itself ``requests`` sends every call through the proxy that a variable names, those to this
machine too, and puts what a ``.netrc`` says in the place of the token that was given.
"""

import ipaddress
import os
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Token(AuthBase):
    """A bearer token, or none; in either case ``requests`` then looks into no ``.netrc``.

    Parameters
    ----------
    value : str, optional
        The token.
    """

    def __init__(self, value: str | None = None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        if self._value is not None:
            request.headers["Authorization"] = f"Bearer {self._value}"
        return request


def connect(url: str, token: str | None = None) -> requests.Session:
    """Open a session for one address: without a proxy where that is this machine.

    Parameters
    ----------
    url : str
        Where its requests will go.
    token : str, optional
        Bearer token of each request.
    """
    session = requests.Session()
    session.auth = Token(token)
    if is_loopback(url):
        session.trust_env = False
        given = (os.environ.get(name) for name in _CA_BUNDLES)
        session.verify = next(filter(None, given), True)
    return session


def is_loopback(url: str) -> bool:
    """Whether an address is of this machine."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or no address at all
        return False


def through_proxy(url: str) -> str:
    """Tell, for a message, which variable sends requests for an address through a proxy.

    Returns
    -------
    str
        Such as ``" through the proxy of HTTPS_PROXY"``; empty where there is none.
    """
    if is_loopback(url) or not requests.utils.get_environ_proxies(url):
        return ""
    scheme = url.partition(":")[0].lower()
    names = (f"{scheme}_proxy", "all_proxy")
    for name in (each for lower in names for each in (lower, lower.upper())):
        if os.environ.get(name):
            return f" through the proxy of {name}"
    return ""
