"""Plays components in Chromium, in the folder that `valor_cli web` writes and serves.

    components.py VALOR_CLI V2.wasm V3.wasm

The files are those of tests/fixtures/wasi: one exports wasi:http 0.2, the other 0.3. Prints a line for each
conversation, and fails where one fails, or where what they add to the service worker has grown over its 14.5 KiB.
"""

import asyncio, hashlib, http.server, json, pathlib, subprocess, sys, tempfile, threading
import stage
from chromium import Chromium
from served import Served, same
from stage import report, web

VERSIONS = ["v2", "v3"]
given = [pathlib.Path(file).read_bytes() for file in sys.argv[2:4]]
SEEN = """(async (path, options) => {
  const answer = await fetch(path, options);
  return [answer.status, await answer.text()];
})"""


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A server of another origin that allows it."""

    # The paths whose request is here, and those whose client has left.
    here, left = set(), set()
    gate = threading.Event()

    def do_GET(self):
        self.here.add(self.path)
        if self.path.startswith("/hang/"):
            # Until the client leaves.
            self.rfile.read(1)
            return self.left.add(self.path)
        if self.path.startswith("/gate/"):
            # Until the play opens it.
            self.gate.wait()
        self.send_response(200)
        self.send_header("access-control-allow-origin", "*")
        self.end_headers()
        self.wfile.write(b"from a server")

    def log_message(self, *_):
        pass


async def until(true):
    """Waits for something to become true."""
    for _ in range(1500):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come")


async def seen(page, path, **options):
    """Status and text of an answer."""
    return await page.run(f"{SEEN}({json.dumps(path)}, {json.dumps(options)})")


async def answers(page, _):
    """a component answers, with the method and the target"""
    same(await seen(page, "/it/x?y=z"), [200, "Hello, Method::Get /x?y=z!"])
    same((await seen(page, "/it/", method="PROPFIND"))[1], 'Hello, Method::Other("PROPFIND") /!')


async def bodies(page, _):
    """bodies go and come, small and large"""
    for text in ["", "there and back", "x" * 3_000_000]:
        same(await seen(page, "/it/echo", method="POST", body=text), [200, text])


async def streams(page, _):
    """a body comes in pieces, as they are written"""
    pieces = """(async () => {
      const reader = (await fetch("/it/count")).body.getReader(), found = [];
      for (let it; !(it = await reader.read()).done; ) found.push(new TextDecoder().decode(it.value));
      return found;
    })()"""
    same(await page.run(pieces), ["0\n", "1\n", "2\n", "3\n", "4\n"])


async def pressure(page, _):
    """an upload waits for a reader, and ends when that leaves"""
    pulled = await page.run("""(async () => {
      let pulled = 0, before = -1, over = false;
      const pull = (it) => (pulled++, it.enqueue(new Uint8Array(65536)));
      const body = new ReadableStream({ pull, cancel: () => (over = true) }, { highWaterMark: 0 });
      const response = await fetch("/it/echo", { method: "POST", body, duplex: "half" });
      const reader = response.body.getReader();
      await reader.read();
      while (before !== pulled) {
        before = pulled;
        await new Promise((later) => setTimeout(later, 1000));
      }
      await reader.cancel();
      while (!over) await new Promise((later) => setTimeout(later, 20));
      return pulled;
    })()""")
    # What lies between page and worker is Chromium's.
    same(pulled < 4096, True)


async def waits(page, _):
    """a component waits, and others run meanwhile"""
    all = await page.run(
        "Promise.all(Array.from({ length: 20 }, () => fetch('/it/sleep').then((it) => it.text())))")
    same(all, ["slept"] * 20)


async def fetches(page, server):
    """it reaches the servers in `allow`, other vlugins, and nothing else"""
    same(await seen(page, f"/it/fetch?http://127.0.0.1:{server.server_port}/data"), [200, "from a server"])
    same((await seen(page, "/it/fetch?http://other.example/"))[1], "ErrorCode::HttpRequestDenied")
    same(await seen(page, "/it/fetch?http://board.vlugin.internal/x"), [200, "board has /x"])


async def surroundings(page, _):
    """its configuration and its name, randomness, output"""
    same(await seen(page, "/it/env"), [200, '[("VALOR_NAME", "it"), ("a", "b"), ("n", "1")]'])
    same(await seen(page, "/it/random"), [200, "16"])
    same(await seen(page, "/it/log"), [200, "logged"])


async def ends(page, _):
    """a trap is a 502, an error a 500, and the next request finds it well"""
    same((await seen(page, "/it/wrong"))[0], 500)
    same((await seen(page, "/it/panic"))[0], 502)
    same((await seen(page, "/it/"))[0], 200)


async def instances(page, _):
    """its definition says what an instance answers"""
    for _ in range(2):
        same(await seen(page, "/fresh/served"), [200, "1"])
    for number in (1, 2, 3):
        same(await seen(page, "/kept/served"), [200, str(number)])
    both = await page.run("Promise.all([1, 2].map(() => fetch('/kept/sleep').then((it) => it.text())))")
    same(both, ["slept", "slept"])
    same((await seen(page, "/kept/panic"))[0], 502)
    same(await seen(page, "/kept/served"), [200, "1"])
    # A request that is given up ends one of 0.2, which cannot do anything else meanwhile.
    await page.run("fetch('/kept/sleep', { signal: AbortSignal.timeout(10) }).catch(() => null)")
    same((await seen(page, "/kept/served"))[0], 200)


async def together(page, server):
    """an instance of 0.3 answers several requests at once, and one of 0.2 one after the other"""
    gate = f"/gate/{page.version}"
    Elsewhere.gate.clear()
    await page.run(f"""(() => {{
      globalThis.order = [];
      globalThis.ask = (path) => fetch(`/kept${{path}}`).then(() => order.push(path.slice(0, 6)));
      globalThis.first = ask("/fetch?http://127.0.0.1:{server.server_port}{gate}");
      return null;
    }})()""")
    await until(lambda: gate in Elsewhere.here)
    try:
        if page.version == "v3":
            await page.run("ask('/served').then(() => null)")
        else:
            await page.run("(globalThis.second = ask('/served'), null)")
            # It would have been answered by then.
            await asyncio.sleep(0.2)
    finally:
        Elsewhere.gate.set()
    order = await page.run("Promise.all([first, globalThis.second]).then(() => order)")
    same(order, ["/serve", "/fetch"] if page.version == "v3" else ["/fetch", "/serve"])


async def trapped(page, server):
    """a trap ends all requests of its instance, and no other one"""
    if page.version == "v2":
        return
    hang = f"/fetch?http://127.0.0.1:{server.server_port}/hang/trapped"
    all = await page.run(
        f"Promise.all(['/kept{hang}', '/kept/doomed', '/it/sleep'].map((it) => fetch(it).then((it) => it.status)))")
    same(all, [502, 502, 200])


async def stuck(page, server):
    """an instance of 0.3 that goes on with a request that was given up gets no more of them after ten seconds"""
    if page.version == "v2":
        return
    hang = "/hang/stuck"
    same((await seen(page, f"/stuck/fetch?http://127.0.0.1:{server.server_port}{hang}"))[0], 504)
    same(await seen(page, "/stuck/served"), [200, "1"])
    same(await seen(page, "/stuck/served"), [200, "2"])
    same(hang in Elsewhere.left, False)
    await asyncio.sleep(11)
    await until(lambda: hang in Elsewhere.left)
    same(await seen(page, "/stuck/served"), [200, "1"])


async def late(page, server):
    """a component that does not answer in time"""
    hang = f"/fetch?http://127.0.0.1:{server.server_port}/hang/late/{page.version}"
    same((await seen(page, f"/hurried{hang}"))[0], 504)
    same((await seen(page, "/hurried/"))[0], 200)


async def known(page, _):
    """the page names the SHA-256 of the component's own file"""
    listed = await page.run("fetch('/_plugins').then((it) => it.json())")
    found = {it["name"]: [it["sha256"], it["runs"], it["state"]] for it in listed["plugins"]}
    same(found["it"], [page.sha256, "service worker", "ready"])


async def registered(page, _):
    """a component of the folder under another name"""
    define = lambda **twin: seen(
        page, "/_plugins", method="POST", headers={"content-type": "application/json"},
        body=json.dumps({"type": "wasi", "name": "twin", **twin}))
    for path in ["vlugins/it/component.js", "it"]:
        same((await define(path=path))[0], 201)
        same((await seen(page, "/twin/x"))[1], "Hello, Method::Get /x!")
        same((await seen(page, "/_plugins/twin", method="DELETE"))[0], 204)
    for wrong in [{"path": "none"}, {"path": "it", "sha256": "0" * 64}]:
        same((await define(**wrong))[0], 422)


async def again(page, _):
    """a restarted worker has it again, and loads nothing"""
    same((await seen(page, "/it/"))[0], 200)
    dist = page.served.dir.name
    for file in pathlib.Path(dist, "dist/vlugins").rglob("*.wasm"):
        file.unlink()
    await page.end_worker()
    same((await seen(page, "/it/"))[0], 200)


async def lacking(page, served):
    """a browser without JSPI gets one line that says so"""
    file = pathlib.Path(served.dir.name, "dist/account.js")
    file.write_text("delete WebAssembly.Suspending;\n" + file.read_text())
    said = await page.run(START)
    same("cannot suspend WebAssembly (JSPI)" in said and "\n" not in said, True)


STEPS = [
    answers, bodies, streams, pressure, waits, fetches, surroundings, ends, instances, together, trapped,
    stuck, late, known, registered, again,
]
START = "import('/valor.js').then(({ start }) => start()).then(() => null, (error) => error.message)"


async def play(version, bytes, server):
    with tempfile.TemporaryDirectory() as dir:
        dir = pathlib.Path(dir)
        (dir / "it.wasm").write_bytes(bytes)
        (dir / "board.js").write_text(
            "export default { fetch: ({ url }) => new Response(`board has ${new URL(url).pathname}`) };\n")
        allow = [f"127.0.0.1:{server.server_port}"]
        it = {"type": "wasi", "name": "it", "path": "it.wasm", "config": {"a": "b", "n": 1}, "allow": allow}
        hurried = {"type": "wasi", "name": "hurried", "path": "it.wasm", "limits": {"timeout": 0.5}, "allow": allow}
        board = {"type": "js", "name": "board", "path": "board.js"}
        fresh = {"type": "wasi", "name": "fresh", "path": "it.wasm", "instance": "request"}
        kept = {"type": "wasi", "name": "kept", "path": "it.wasm", "instance": "shared", "allow": allow}
        stuck = {"type": "wasi", "name": "stuck", "path": "it.wasm", "limits": {"timeout": 0.5}, "allow": allow}
        plugins = dir / "plugins.json"
        it["limits"] = {"body": 1 << 33}
        plugins.write_text(json.dumps({"plugins": [it, hurried, fresh, kept, stuck, board]}))
        async with Served(plugins) as served, Chromium() as browser:
            page = await browser.open(f"{served.url}/plugins.json")
            same(await page.run(START), None)
            page.served, page.version = served, version
            page.sha256 = hashlib.sha256(bytes).hexdigest()
            for step in STEPS:
                try:
                    await step(page, server)
                    report(f"{version}: {step.__doc__}")
                except Exception as error:
                    report(f"{version}: {step.__doc__}", f"{type(error).__name__}: {error}")
            try:
                async with Chromium() as other:
                    await lacking(await other.open(f"{served.url}/plugins.json"), served)
                report(f"{version}: {lacking.__doc__}")
            except Exception as error:
                report(f"{version}: {lacking.__doc__}", f"{type(error).__name__}: {error}")
            if stage.failed:
                print(browser.log.read_text(errors="replace")[-6000:])


def folders(bytes):
    """a component with folders is left to a server"""
    for key in ["files", "writable"]:
        with tempfile.TemporaryDirectory() as dir:
            dir = pathlib.Path(dir)
            (dir / "it.wasm").write_bytes(bytes)
            (dir / "data").mkdir()
            it = {"type": "wasi", "name": "it", "path": "it.wasm", key: ["data"]}
            (dir / "plugins.json").write_text(json.dumps({"plugins": [it]}))
            command = [sys.argv[1], "web", "-p", dir / "plugins.json", "-o", dir / "dist"]
            done = subprocess.run(command, capture_output=True, text=True)
            same([done.returncode != 0, "a page has none" in done.stderr], [True, True])


async def main():
    folders(given[0])
    report(folders.__doc__)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for version, bytes in zip(VERSIONS, given):
        await play(version, bytes, server)
    added = sorted(it.relative_to(web) for it in web.glob("wasi/*.js"))
    stage.fits("what components add to the service worker", added, 29 * 512)
    stage.end()


asyncio.run(main())
