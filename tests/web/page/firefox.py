"""Firefox as Debian has it, driven by its own protocol Marionette; Playwright drives only a Firefox of its own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's identity, of the WebDriver standard
PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "intl.accept_languages": "en-US, en",
    "network.captive-portal-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class Firefox:
    """One window of Firefox. Commands are those of WebDriver."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._number = 0
        self._read()  # the greeting
        self.ask("WebDriver:NewSession", capabilities={"alwaysMatch": {"unhandledPromptBehavior": "ignore"}})
        self.ask("WebDriver:SetTimeouts", script=120_000, pageLoad=120_000, implicit=0)
        self.ask("WebDriver:SetWindowRect", width=1366, height=768)

    def ask(self, command: str, **parameters: Any) -> Any:
        """Send a command and return its value; AssertionError with the browser's words where it fails."""
        self._number += 1
        text = json.dumps([0, self._number, command, parameters])
        self._connection.sendall(f"{len(text.encode())}:{text}".encode())
        _, _, error, result = self._read()
        assert error is None, f"{command}: {error['error']}: {error['message']}"
        return result.get("value") if isinstance(result, dict) and set(result) == {"value"} else result

    def open(self, url: str) -> None:
        """Load a page; from then on its errors are collected."""
        self.ask("WebDriver:Navigate", url=url)
        self.until("return document.querySelector('#start h2:not(:empty)') !== null")
        self.run(
            "window.complaints = []; for (const kind of ['error', 'unhandledrejection', 'securitypolicyviolation'])"
            " window.addEventListener(kind, (one) => complaints.push(String(one.message || one.reason || one.blockedURI)));"
        )

    def run(self, body: str, *values: Any) -> Any:
        """Run the body of an asynchronous function, with ``values`` as ``arguments``, and return what it returns."""
        script = "const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);"
        script += f"(async function () {{ {body} }}).apply(null, given).then((value) => done([true, value ?? null]),"
        script += " (error) => done([false, String(error)]));"
        right, value = self.ask("WebDriver:ExecuteAsyncScript", script=script, args=list(values), sandbox=None)
        assert right, value
        return value

    def until(self, body: str, *values: Any, seconds: float = 60) -> Any:
        """Run a body again and again until it returns something true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.run(body, *values)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"never: {body}")

    def give(self, selector: str, *files: Path) -> None:
        """Choose files in a field, as the dialog does."""
        found = self.ask("WebDriver:FindElement", using="css selector", value=selector)
        self.ask("WebDriver:ElementSendKeys", id=found[ELEMENT], text="\n".join(map(str, files)))

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        steps = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.ask("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": steps}])

    def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first place of the window, move over the others and let go."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 50} for x, y in points]
        steps = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self.ask("WebDriver:PerformActions", actions=[mouse])

    def _read(self) -> Any:
        length = b""
        while (byte := self._connection.recv(1)) != b":":
            assert byte, "Firefox has closed the connection"
            length += byte
        left, text = int(length), b""
        while len(text) < left:
            piece = self._connection.recv(left - len(text))
            assert piece, "Firefox has closed the connection"
            text += piece
        return json.loads(text)


@contextlib.contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Run Firefox without a screen, with a new profile in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    profile.mkdir()
    wanted = {**PREFERENCES, "marionette.port": port}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wanted.items()]
    (profile / "user.js").write_text("\n".join(lines), "utf-8")
    command = [str(PROGRAM), "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    environment = {**os.environ, "HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
    with open(profile / "log.txt", "wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", port), timeout=180)
                break
            except OSError:
                gone = running.poll() is not None or time.monotonic() > end
                assert not gone, (profile / "log.txt").read_text("utf-8")
                time.sleep(0.1)
        with connection:
            yield Firefox(connection)
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
