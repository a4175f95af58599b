"""Plays valor_runtime/web in Chromium: a page, a service worker, and a vlugin from a .wasm file.

    play.py GUEST.wasm

The file is the tests' guest (valor_runtime/tests/fixtures/guest). Everything is served from here
under the Content-Security-Policy that the docs give. Prints a line for each conversation, and
fails where one fails, or where the service worker has grown over its 12 KiB.
"""

import gzip, http.server, json, os, pathlib, queue, subprocess, sys, tempfile, threading

PATIENCE = 60
LIMIT = 12 * 1024
CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"
here = pathlib.Path(__file__).parent
web = here.parent.parent / "web"
guest = pathlib.Path(sys.argv[1]).read_bytes()
reports, asked = queue.Queue(), []
plugins = {"plugins": [
    {"type": "wasm", "name": "guest", "path": "guest.wasm", "config": "hello"},
    {"type": "wasm", "name": "small", "path": "guest.wasm", "config": "s", "limits": {"body": 10}},
    {"type": "wasm", "name": "hurried", "path": "guest.wasm", "config": "h", "limits": {"timeout": 0.2}},
    {"type": "wasm", "name": "open", "path": "guest.wasm", "allow": ["127.0.0.1"]},
    {"type": "native", "name": "left_out"},
]}
files = {f"/{f.name}": (f.read_bytes(), "text/javascript") for f in [*web.glob("*.js"), here / "page.js"]}
files["/"] = ((here / "page.html").read_bytes(), "text/html")
# A type that `compileStreaming` would refuse: many a static server knows no better.
files["/guest.wasm"] = (guest, "application/octet-stream")
files["/plugins.json"] = (json.dumps(plugins).encode(), "application/json")
files["/network"] = (b"from the network", "text/plain")


class Server(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-security-policy", CSP)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        asked.append(self.path)
        body, kind = files.get(self.path.split("?")[0], (None, None))
        if body is None:
            return self.answer(404, b"the network has none", "text/plain")
        self.answer(200, body, kind)

    def do_POST(self):
        asked.append(self.path)
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/report":
            reports.put(json.loads(body))
        self.answer(200, b"", "text/plain")

    def log_message(self, *_):
        pass


worker = b"".join((web / name).read_bytes() for name in ["valor-sw.js", "guest.js", "http.js"])
size = len(gzip.compress(worker, 9))
print(f"the service worker and all it imports: {size} bytes gzipped, of at most {LIMIT}")
failed = size > LIMIT
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, open(os.path.join(profile, "err"), "wb") as err:
    chromium = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
         "--enable-logging=stderr", "--remote-debugging-port=0", f"--user-data-dir={profile}/chromium",
         f"http://127.0.0.1:{server.server_port}/"], stdout=err, stderr=err)
    try:
        for _ in range(2):
            report = reports.get(timeout=PATIENCE)
            if not report["controlled"]:
                report["lines"].append({"name": "the worker controls the page", "error": "it does not"})
            for line in report["lines"]:
                failed |= line["error"] is not None
                print(f"{'ok  ' if line['error'] is None else 'FAIL'} {line['name']}", line["error"] or "")
    except queue.Empty:
        failed = True
        print(f"FAIL no report within {PATIENCE} s; asked for: {asked}")
    finally:
        chromium.terminate()
        chromium.wait()
    strayed = [path for path in asked if path.startswith(("/guest/", "/late/", "/small/", "/hurried/", "/open/", "/_"))]
    if strayed:
        failed = True
        print(f"FAIL these were for vlugins and reached the network: {strayed}")
    if failed:
        print(pathlib.Path(profile, "err").read_text(errors="replace")[-6000:])
sys.exit(failed)
