"""Chromium, driven over its own protocol (CDP) by Debian's python3-websockets.

What the tests of the browser's host need of a browser and no more: pages that run JavaScript, a
service worker that is ended, screenshots. Playwright would bring npm into the checks, and would have to
speak this protocol as well to end a worker.
"""

import asyncio, base64, json, os, pathlib, subprocess, tempfile, urllib.request
import websockets

PATIENCE = 180
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--remote-debugging-port=0",
]


async def until(what, happened):
    """Waits until something is true, with a generous bound."""
    for _ in range(PATIENCE * 50):
        if happened():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"it did not come to this: {what}")


class Chromium:
    """`async with Chromium() as browser`; the profile is fresh and goes with it."""

    def __init__(self, *flags):
        self.flags = flags

    async def __aenter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.log = pathlib.Path(self.profile.name, "log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["chromium", *FLAGS, *self.flags, f"--user-data-dir={self.profile.name}/chromium"],
                stdout=log, stderr=log)
        try:
            port = pathlib.Path(self.profile.name, "chromium/DevToolsActivePort")
            await until("Chromium listens", lambda: port.exists() and port.read_text().count("\n"))
            self.port = port.read_text().split("\n")[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json/version") as answer:
                url = json.load(answer)["webSocketDebuggerUrl"]
            self.socket = await websockets.connect(url, max_size=None, ping_interval=None)
        except BaseException:
            await self.close()
            raise
        self.asked, self.pages, self.next = {}, {}, 0
        self.reading = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_):
        self.reading.cancel()
        await self.socket.close()
        await self.close()

    async def close(self):
        self.process.terminate()
        await asyncio.get_running_loop().run_in_executor(None, self.process.wait)
        self.profile.cleanup()

    async def read(self):
        async for text in self.socket:
            said = json.loads(text)
            if "id" in said:
                self.asked.pop(said["id"]).set_result(said)
            elif said.get("sessionId") in self.pages:
                self.pages[said["sessionId"]].heard(said["method"], said["params"])

    async def ask(self, method, session=None, **params):
        self.next += 1
        answer = self.asked[self.next] = asyncio.get_running_loop().create_future()
        message = {"id": self.next, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        await self.socket.send(json.dumps(message))
        said = await asyncio.wait_for(answer, PATIENCE)
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']['message']}")
        return said["result"]

    async def open(self, url):
        target = (await self.ask("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ["Page", "Runtime", "ServiceWorker", "Log"]:
            await page.ask(f"{domain}.enable")
        await page.go(url)
        return page


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        self.loads, self.workers = 0, {}
        # What the page's Content-Security-Policy forbade.
        self.violations = []

    def ask(self, method, **params):
        return self.browser.ask(method, self.session, **params)

    def heard(self, method, params):
        if method == "Page.loadEventFired":
            self.loads += 1
        elif method == "Log.entryAdded" and "Content Security Policy" in params["entry"]["text"]:
            self.violations.append(params["entry"]["text"])
        elif method == "ServiceWorker.workerVersionUpdated":
            self.workers.update((it["versionId"], it) for it in params["versions"])

    async def go(self, url):
        await self.loaded(self.ask("Page.navigate", url=url))

    async def reload(self, past_worker=False):
        await self.loaded(self.ask("Page.reload", ignoreCache=past_worker))

    async def loaded(self, doing):
        before = self.loads
        await doing
        await until("the page is loaded", lambda: self.loads > before)

    async def run(self, script):
        """The value of an expression, awaited."""
        said = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return said["result"].get("value")

    def running(self):
        return [it for it in self.workers.values() if it["runningStatus"] != "stopped"]

    async def end_worker(self):
        """What the browser does to an idle worker after half a minute."""
        await until("a worker runs", self.running)
        await self.ask("ServiceWorker.stopAllWorkers")
        await until("the worker is ended", lambda: not self.running())

    async def shot(self, file, width, height, scheme="light"):
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        await self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # Two frames, because the first may still be from before.
        await self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        png = await self.ask("Page.captureScreenshot", format="png")
        os.makedirs(os.path.dirname(file) or ".", exist_ok=True)
        pathlib.Path(file).write_bytes(base64.b64decode(png["data"]))
