"""What the plays of valor_runtime/web share: a static server under the Content-Security-Policy that the docs
give, a page of Chromium's, steps, and a line for each of them.
"""

import gzip, http.server, json, pathlib, sys, threading
from chromium import Chromium

CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
here = pathlib.Path(__file__).parent
web = here.parent.parent / "web"
asked, failed = [], []
SCRIPT = "text/javascript"
# The server's files, by path: bytes and type.
files = {f"/{f.name}": (f.read_bytes(), SCRIPT) for f in web.glob("*.js")}
files["/"] = ((here / "page.html").read_bytes(), "text/html")
files["/network"] = (b"from the network", "text/plain")


def say(plugins):
    """What plugins.json lists."""
    files["/plugins.json"] = (json.dumps({"plugins": plugins}).encode(), "application/json")


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-security-policy", CSP)
        if self.path.startswith("/scoped/assets/"):
            self.send_header("service-worker-allowed", "/scoped/")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        asked.append(self.path)
        if self.path == "/hang":
            # Until the play is over.
            return threading.Event().wait()
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/network")
            self.send_header("content-length", "0")
            return self.end_headers()
        body, kind = files.get(self.path.split("?")[0], (None, None))
        if body is None:
            return self.answer(404, b"the network has none", "text/plain")
        self.answer(200, body, kind)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


def report(name, error=None):
    if error is not None:
        failed.append(name)
    print(f"{'ok  ' if error is None else 'FAIL'} {name}", error or "", flush=True)


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


STEPS = []


def step(play):
    STEPS.append(play)
    return play


def get(page, path):
    return page.run(f"get({json.dumps(path)})")


def fits(what, names, limit):
    """Whether files, gzipped as one, are within a limit of bytes."""
    size = len(gzip.compress(b"".join((web / name).read_bytes() for name in names), 9))
    report(f"{what}: {size} bytes gzipped, of at most {limit}", None if size <= limit else "it is too large")


def end():
    """Ends the play. What failed comes last, where a log that was cut still has it."""
    for name in failed:
        print(f"FAIL {name}: see above", flush=True)
    sys.exit(bool(failed))


async def play(server, names):
    """Plays all steps in one page. `names` are vlugins whose requests the network is never to see."""
    async with Chromium() as browser:
        page = await browser.open(f"http://127.0.0.1:{server.server_port}/")
        page.server, page.port = server, server.server_port
        for step in STEPS:
            try:
                await step(page)
                report(step.__doc__)
            except Exception as error:
                report(step.__doc__, f"{type(error).__name__}: {error}")
        own = [*names, "_health", "_plugins"]
        strayed = [path for path in asked if path.split("/")[1] in own and "/files/" not in path]
        report("nothing that is for vlugins has reached the network", strayed or None)
        if failed:
            print(browser.log.read_text(errors="replace")[-6000:])
    end()
