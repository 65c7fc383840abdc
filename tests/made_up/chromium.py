"""A real browser without a window, spoken to by the Chrome DevTools Protocol over a pair of pipes."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
VIRTUAL_KEYS = {
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
}
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """The browser of this machine, if it has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One tab: what it is told to do, and every event that it tells of."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._rest, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *flags: str) -> Iterator["Chromium"]:
        """A browser that ends with the `with` block; `folder` takes what it writes."""
        path = find_chromium()
        assert path
        (their_in, our_out), (our_in, their_out) = _high_pipe(), _high_pipe()
        # It reads from 3 and writes to 4, whatever the numbers here.
        plug = ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "chromium"]
        with subprocess.Popen(
            [*plug, path, *FLAGS, *flags, f"--user-data-dir={folder}"],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            os.close(their_in)
            os.close(their_out)
            try:
                yield cls(our_out, our_in)
            finally:
                process.kill()
                os.close(our_out)
                os.close(our_in)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do something; gives the result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]

    def go(self, url: str, width: int, height: int = 900) -> None:
        """Show a page at a width in pixels, from the beginning, and wait until it is loaded."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def point(self, place: tuple[float, float]) -> None:
        """Move the mouse to a place."""
        self._mouse("mouseMoved", *place)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one place and release it at another, which may be the same."""
        self._mouse("mouseMoved", *start)
        self._mouse("mousePressed", *start)
        if end != start:
            self._mouse("mouseMoved", *end)
        self._mouse("mouseReleased", *end)

    def double_click(self, place: tuple[float, float]) -> None:
        for count in (1, 2):
            self._mouse("mousePressed", *place, count)
            self._mouse("mouseReleased", *place, count)

    def _mouse(self, kind: str, x: float, y: float, count: int = 1) -> None:
        button = "none" if kind == "mouseMoved" else "left"
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=count)

    def wheel(self, place: tuple[float, float], turned: float) -> None:
        """Turn the wheel by pixels, down if above 0."""
        x, y = place
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=turned)

    def press(self, key: str) -> None:
        """Press a key by its name, e.g. `ArrowRight` or `n`."""
        text = {"text": key} if len(key) == 1 else {}
        code = {"windowsVirtualKeyCode": VIRTUAL_KEYS[key]} if key in VIRTUAL_KEYS else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def drop(self, place: tuple[float, float], files: list[Path]) -> None:
        """Drag files or folders from outside onto a place of the page, and let go of them."""
        x, y = place
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def wait(self, condition: str, most_s: float = 30) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + most_s
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.05)

    def center(self, selector: str) -> tuple[float, float]:
        """The middle of an element, after scrolling it into view."""
        found = json.dumps(selector)
        return tuple(
            self.run(
                f"(() => {{ const e = document.querySelector({found}); e.scrollIntoView({{block: 'nearest'}});"
                " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
            )
        )

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        place = self.center(selector)
        self.drag(place, place)

    def prefer(self, scheme: str) -> None:
        """Ask for the `light` or `dark` colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(picture["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    @property
    def errors(self) -> list[str]:
        """What went wrong in the page since it was loaded: exceptions, and errors and warnings of the console."""
        return [
            json.dumps(event["params"])
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or (
                event["method"] == "Log.entryAdded"
                and event["params"]["entry"]["level"] in ("error", "warning")
            )
            or (
                event["method"] == "Runtime.consoleAPICalled"
                and event["params"]["type"] in ("error", "warning")
            )
        ]

    @property
    def requested(self) -> list[str]:
        """Every address that the page asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            content = os.read(self._answers, 1 << 16)
            assert content, "the browser has gone"
            self._rest += content
        line, _, self._rest = self._rest.partition(b"\0")
        told = json.loads(line)
        if "method" in told:
            self.events.append(told)
        return told


def _high_pipe() -> tuple[int, int]:
    """A pipe whose numbers are out of the way of 3 and 4."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
