"""A headless Chromium, spoken to over a pipe by the DevTools protocol: no driver is needed.

python -m tests.browser PAGE.html FOLDER    # screenshots, wide and narrow, light and dark
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
SCHEMES = ("light", "dark")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS = 60


def executable() -> str | None:
    """Find the browser; None if there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Tab:
    """An open page, with what it logged and what it asked for."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._number, self._rest, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []

    def attach(self) -> None:
        """Open an empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **words: object) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": words}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, page: Path, size: str = "wide", scheme: str = "light") -> None:
        """Load a page at a width and in a theme, and wait until it is there."""
        width, height = SIZES[size]
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == "narrow",
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.events.clear()
        self.call("Page.navigate", url=page.absolute().as_uri())
        ends = time.monotonic() + _SECONDS
        while not any(each.get("method") == "Page.loadEventFired" for each in self.events):
            assert time.monotonic() < ends, "the page does not load"
            self.events.append(self._next())

    def evaluate(self, script: str) -> Any:  # noqa: ANN401 - whatever the script gives
        """Run a script in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def problems(self) -> list[str]:
        """Errors, warnings and exceptions since the page was opened."""
        kinds = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
        return [json.dumps(each) for each in self.events if each.get("method") in kinds]

    def fetched(self) -> list[str]:
        """Addresses that the page asked for, itself included."""
        asked = (each for each in self.events if each.get("method") == "Network.requestWillBeSent")
        return [each["params"]["request"]["url"] for each in asked]

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        """Take a picture of the page, or of what is seen without scrolling."""
        found = self.call(
            "Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole)
        )
        file.write_bytes(base64.b64decode(found["data"]))

    def _clip(self, whole: bool) -> dict[str, object]:  # noqa: FBT001 - of this class alone
        if not whole:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "scale": 1, **{n: size[n] for n in ("width", "height")}}}

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._reading, 1 << 20)
            assert read, "the browser ended"
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def browsing(browser: str) -> Iterator[Tab]:
    """Start a browser with one page, and end it."""
    ours_reading, theirs_writing = os.pipe()
    theirs_reading, ours_writing = os.pipe()

    def pass_on() -> None:  # the browser reads from 3 and writes to 4
        reading, writing = os.dup(theirs_reading), os.dup(theirs_writing)
        os.dup2(reading, 3)
        os.dup2(writing, 4)

    with tempfile.TemporaryDirectory() as profile:
        words = ("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu")
        process = subprocess.Popen(
            [browser, *words, "--no-first-run", f"--user-data-dir={profile}"],
            preexec_fn=pass_on,  # noqa: PLW1509 - of a process of one thread
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_reading)
        os.close(theirs_writing)
        try:
            tab = Tab(ours_reading, ours_writing)
            tab.attach()
            yield tab
        finally:
            os.close(ours_writing)
            os.close(ours_reading)
            process.terminate()
            process.wait(_SECONDS)


def main() -> None:
    """Take screenshots."""
    page, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    browser = executable()
    assert browser is not None, "there is no browser"
    with browsing(browser) as tab:
        for size in SIZES:
            for scheme in SCHEMES:
                tab.open(page, size, scheme)
                tab.screenshot(folder / f"{size}-{scheme}.png")
        sys.stdout.write("\n".join([*tab.problems(), *tab.fetched(), ""]))


if __name__ == "__main__":
    main()
