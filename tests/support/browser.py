"""A headless Chromium that is used as a person uses it: with the mouse, the keyboard and the eyes."""
import atexit
import base64
import json
import os
import select
import signal
import subprocess
import time

from . import guard, proc
from .proc import check, fail, tempdir

CHROMIUM = "/usr/bin/chromium-headless-shell"


class Browser:
    """One page. It speaks the DevTools protocol over a pipe, so no port is open."""

    def __init__(self):
        check(os.access(CHROMIUM, os.X_OK), f"{CHROMIUM} is missing; run tools/setup")
        self.dir = tempdir("browser")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def ends():  # where Chromium looks for them; first out of each other's way
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)
        log = open(self.dir / "log", "wb")  # pylint: disable=consider-using-with; the browser's for as long as it runs
        proc.register_log(self.dir / "log")
        self._p = subprocess.Popen(  # pylint: disable=consider-using-with,subprocess-popen-preexec-fn; it has no threads yet
            [CHROMIUM, "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
             f"--user-data-dir={self.dir / 'profile'}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=ends, close_fds=False, start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        guard.watch_pid(self._p.pid)
        atexit.register(self.close)
        self._rest, self._number, self._session = b"", 0, None
        self.errors, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(domain + ".enable")

    def close(self):
        if self._p.poll() is None:
            os.killpg(self._p.pid, signal.SIGKILL)
            self._p.wait()
            guard.forget_pid(self._p.pid)

    # --- the protocol ---

    def _receive(self, deadline):
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0]:
                fail("the browser does not answer")
            piece = os.read(self._in, 1 << 16)
            check(piece, "the browser has ended")
            self._rest += piece
        whole, self._rest = self._rest.split(b"\0", 1)
        return json.loads(whole)

    def _note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"].get("exception", {}).get("description") or params["exceptionDetails"]["text"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **({"sessionId": self._session} if self._session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + proc.LEAST
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == message["id"]:
                check("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]
            self._note(answer)

    # --- a person ---

    def js(self, expression):
        """The value of an expression in the page."""
        r = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        check("exceptionDetails" not in r, f"{expression}: {r.get('exceptionDetails')}")
        return r["result"].get("value")

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.see("document.readyState === 'complete'", "the page")

    def see(self, expression, what):
        """Waits until an expression in the page is true."""
        return proc.wait_for(lambda: self.js(expression), 20, what)

    def read(self, text):
        """Waits until the page shows this text."""
        self.see(f"document.body.innerText.includes({json.dumps(text)})", f"{text!r} on the page")

    def _place(self, selector, text):
        """The middle of the visible element that matches, and has this text; scrolled into view."""
        return self.js(f"""(() => {{
            const e = [...document.querySelectorAll({json.dumps(selector)})].find(x =>
              (x.textContent === {json.dumps(text)} || {json.dumps(text)} === null) && x.offsetParent !== null && !x.disabled);
            if (!e) return null;
            e.scrollIntoView({{block: "center"}});
            const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2];
        }})()""")

    def click(self, selector, text=None):
        x, y = proc.wait_for(lambda: self._place(selector, text), 20, f"{selector} {text or ''} to click")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector, text):
        """Clicks into a field and writes over what it has."""
        self.click(selector)
        self.js(f"document.querySelector({json.dumps(selector)}).select()")
        self.call("Input.insertText", text=text)

    def press(self, key, code=None, number=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, windowsVirtualKeyCode=number,
                      **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}))

    def screen(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def spoken(self):
        """(role, name) of what a screen reader meets."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
