"""A headless Chromium that is driven over its DevTools protocol."""

import base64
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import urllib.request

from cluster import wait_for

QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-breakpad", "--disable-extensions", "--disable-dev-shm-usage",
         "--no-proxy-server"]


class WebSocket:
    """The client's side of RFC 6455, as far as DevTools need it: text messages."""

    def __init__(self, url, patience=60):
        address, _, path = url.removeprefix("ws://").partition("/")
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=patience)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Key: {key}\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        assert b" 101 " in status, status
        while self.stream.readline() != b"\r\n":
            pass

    def send(self, text):
        self.frame(0x1, text.encode())

    def frame(self, kind, content):
        """One whole message; what a client sends is masked."""
        length = len(content)
        if length < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, length)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(content))
        self.socket.sendall(head + mask + masked)

    def receive(self):
        """The next text message."""
        message = b""
        while True:
            first, second = self.stream.read(2)
            length = second & 0x7f
            if length == 126:
                length, = struct.unpack("!H", self.stream.read(2))
            elif length == 127:
                length, = struct.unpack("!Q", self.stream.read(8))
            content = self.stream.read(length)
            kind = first & 0x0f
            if kind == 0x9:
                self.frame(0xA, content)
            elif kind == 0x8:
                raise ConnectionError("the browser closed the connection")
            elif kind in (0x0, 0x1):
                message += content
                if first & 0x80:
                    return message.decode()

    def close(self):
        self.stream.close()
        self.socket.close()


class Browser:
    """One process with one page; `errors` are what its console complained about."""

    def __init__(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        assert program, "this test needs the Debian package chromium"
        self.folder = tempfile.mkdtemp(prefix="orrery-browser-")
        self.errors = []
        self.number = 0
        self.socket = None
        self.process = subprocess.Popen(
            [program, *QUIET, "--remote-debugging-port=0", f"--user-data-dir={self.folder}",
             "--window-size=1280,900", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            self.socket = WebSocket(wait_for("the browser to start", self.page))
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def page(self):
        """The address of the page's DevTools, once the browser has one."""
        assert self.process.poll() is None, "the browser ended"
        try:
            with open(os.path.join(self.folder, "DevToolsActivePort"), encoding="utf-8") as file:
                port = file.readline().strip()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
        except OSError:
            return None
        return pages[0]["webSocketDebuggerUrl"] if pages else None

    def call(self, method, **parameters):
        """One command's result; events that come before it are looked through for errors."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self.number:
                assert "error" not in message, (method, message)
                return message["result"]
            self.look_for_errors(message.get("method"), message.get("params", {}))

    def look_for_errors(self, event, fields):
        if event == "Runtime.exceptionThrown":
            self.errors.append(fields["exceptionDetails"])
        elif event == "Runtime.consoleAPICalled" and fields["type"] in ("error", "assert"):
            self.errors.append(fields["args"])
        elif event == "Log.entryAdded" and fields["entry"]["level"] == "error":
            self.errors.append(fields["entry"])

    def open(self, url):
        self.call("Page.navigate", url=url)
        wait_for("the page to load", lambda: self.run(
            "document.readyState === 'complete' && location.href !== 'about:blank'"))

    def run(self, script):
        """The value of a JavaScript expression in the page, a promise's too."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script, patience=30):
        """Waits for an expression to be true."""
        try:
            return wait_for(script, lambda: self.run(script), patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page says: {self.run('document.body.innerText')}")

    def click(self, script):
        """Clicks with the mouse on the element that an expression names."""
        x, y = self.run(f"""(() => {{
            const target = {script};
            target.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = target.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key, code):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme):
        """`light` or `dark`."""
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path, whole=True):
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def close(self):
        """Ends the browser with all its helpers, which share its process group."""
        if self.socket:
            try:
                self.call("Browser.close")
                self.process.wait(10)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass
            self.socket.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        # A helper that is about to die may still write.
        wait_for("the browser's folder to go", self.remove_folder)

    def remove_folder(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        return not os.path.exists(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()
