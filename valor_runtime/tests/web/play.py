"""Plays valor_runtime/web in Chromium: a page, a service worker, and a vlugin from a .wasm file.

    play.py GUEST.wasm

The file is the tests' guest (valor_runtime/tests/fixtures/guest). Prints a line for each conversation, and
fails where one fails, or where the service worker has grown over its 15 KiB.
"""

import asyncio, hashlib, json, pathlib, sys
from stage import SCRIPT, Server, asked, files, fits, get, here, play, report, same, say, step, web

guest = pathlib.Path(sys.argv[1]).read_bytes()
ours = {"type": "wasm", "name": "guest", "path": "guest.wasm", "config": "hello", "limits": {"body": 1 << 28}}
plugins = [
    ours,
    {"type": "wasm", "name": "small", "path": "guest.wasm", "config": "s", "limits": {"body": 10}},
    {"type": "wasm", "name": "hurried", "path": "guest.wasm", "config": "h", "limits": {"timeout": 0.2}},
    {"type": "wasm", "name": "narrow", "path": "guest.wasm", "limits": {"concurrency": 1}},
    {"type": "wasm", "name": "open", "path": "guest.wasm", "allow": ["127.0.0.1"]},
    {"type": "wasm", "name": "missing", "path": "missing.wasm", "optional": True},
    {"type": "native", "name": "left_out"},
    {"type": "files", "name": "files", "path": "somewhere", "prefix": "/guest/files"},
]
files["/page.js"] = ((here / "page.js").read_bytes(), SCRIPT)
# A type that `compileStreaming` would refuse. Many static servers use it.
files["/guest.wasm"] = (guest, "application/octet-stream")
files["/guest/files/a.txt"] = (b"a file of the server's", "text/plain")
# In a separate folder, so that its worker is another one.
files["/wrong/"] = (b"<!doctype html><title>Wrong</title>", "text/html")
files["/wrong/plugins.json"] = (
    b'{ "plugins": [{ "type": "wasm", "name": "a", "path": "/none.wasm" }] }', "application/json")
files.update({f"/wrong/{f.name}": files[f"/{f.name}"] for f in web.glob("*.js")})


@step
async def conversations(page):
    """the conversations of the page"""
    for line in await page.run("first()"):
        report(line["name"], line["error"])
    await page.reload()
    for line in await page.run("second()"):
        report(line["name"], line["error"])


@step
async def killed(page):
    """the worker is ended between requests"""
    same((await get(page, "/late/count"))[0], 200)
    counted = int((await get(page, "/late/count"))[1])
    asked.clear()
    await page.end_worker()
    # A new instance counts from 1. The previous one is gone with its worker, but the registry is not.
    same([counted > 1, await get(page, "/late/count"), await get(page, "/late/")], [True, [200, "1"], [200, "later"]])
    health = json.loads((await get(page, "/_health"))[1])
    same(list(health["unavailable"]), ["missing"])
    same([path for path in asked if path != "/missing.wasm"], [])


@step
async def killed_at_once(page):
    """the worker is ended, and many requests wake it"""
    await page.end_worker()
    all = await page.run('Promise.all(Array.from({ length: 50 }, () => get("/guest/sleep?n=10")))')
    same(all, [[200, "slept"]] * 50)
    numbers = await page.run('Promise.all(Array.from({ length: 50 }, () => get("/small/count")))')
    same(sorted(int(number) for _, number in numbers), list(range(1, 51)))


@step
async def hard_reload(page):
    """after a reload past the worker, start brings it back"""
    await page.reload(past_worker=True)
    same(await page.run("navigator.serviceWorker.controller === null"), True)
    await page.run("start().then(() => null)")
    same(await get(page, "/late/"), [200, "later"])


@step
async def other_module(page):
    """a module of another hash takes the old one's place while requests run"""
    await page.run('globalThis.running = get("/guest/sleep?n=1500"), get("/small/")')
    before = int((await get(page, "/small/count"))[1])
    # The same code behind one more custom section.
    newer = guest + b"\0\x04\x03new"
    files["/guest.wasm"] = (newer, "application/wasm")
    hash = hashlib.sha256(newer).hexdigest()
    say([{**ours, "config": "newer", "sha256": hash}, *plugins[1:]])
    await page.run("start().then(() => null)")
    same(await get(page, "/guest/"), [200, "newer"])
    listed = json.loads((await get(page, "/_plugins/guest"))[1])
    same(listed["sha256"], hash)
    same(await page.run("running"), [200, "slept"])
    # An unchanged vlugin keeps its state, and one that was registered in the page stays.
    same(int((await get(page, "/small/count"))[1]), before + 1)
    same(await get(page, "/late/"), [200, "later"])
    await page.end_worker()
    same(await get(page, "/guest/"), [200, "newer"])


@step
async def wrong_hash(page):
    """a module that is not the one that plugins.json names"""
    say([{**ours, "config": "newer", "sha256": "0" * 64}, *plugins[1:]])
    error = await page.run("start().then(() => null, (error) => error.message)")
    same("guest.wasm has the SHA-256 " in error, True)
    same(await get(page, "/guest/"), [200, "newer"])
    say(plugins)
    await page.run("start().then(() => null)")
    same(await get(page, "/guest/"), [200, "hello"])


@step
async def other_worker(page):
    """another version of the worker takes over while requests run"""
    await page.run('globalThis.running = get("/guest/sleep?n=1500"), get("/guest/")')
    await page.run('globalThis.stream = get("/guest/ticks?n=300"), get("/guest/")')
    for name in ["/valor-sw.js", "/valor-rules.js"]:
        files[name] = (files[name][0] + b"// newer\n", files[name][1])
    await page.run("""navigator.serviceWorker.getRegistration().then((registration) => {
        const changed = new Promise((done) =>
            navigator.serviceWorker.addEventListener("controllerchange", done, { once: true }));
        return registration.update().then(() => changed).then(() => null);
    })""")
    same(await page.run("running"), [200, "slept"])
    same(await page.run("stream"), [200, "tick\n" * 300])
    same([await get(page, "/guest/"), await get(page, "/late/")], [[200, "hello"], [200, "later"]])


@step
async def offline(page):
    """without the network"""
    page.server.stop()
    try:
        await page.end_worker()
        same(await page.run('get("/network").then(() => "answers", () => "fails")'), "fails")
        same([await get(page, "/guest/"), await get(page, "/late/")], [[200, "hello"], [200, "later"]])
        await page.run("start().then(() => null)")
        same(await get(page, "/guest/count"), [200, "2"])
    finally:
        page.server = Server(page.port)


@step
async def wrong(page):
    """start says what is wrong"""
    await page.go(f"http://127.0.0.1:{page.port}/wrong/")

    def start(options):
        return page.run(
            f'import("/wrong/valor.js").then(({{ start }}) => start({options}))'
            '.then(() => null, (error) => error.message)')

    address = f"http://127.0.0.1:{page.port}/wrong"
    message = f"valor: {address}/plugins.json: the vlugin `a`: http://127.0.0.1:{page.port}/none.wasm answers 404"
    same(await start("{}"), message)
    message = f"valor: {address}/nowhere.json answers 404: say in start({{ plugins }}) where it is"
    same(await start('{ plugins: "nowhere.json" }'), message)
    files.update({f"/wrong/deeper/{f.name}": files[f"/{f.name}"] for f in web.glob("*.js")})
    error = await start('{ worker: "deeper/valor-sw.js" }')
    same("answers pages below" in error and "Service-Worker-Allowed" in error, True)


@step
async def checked(page):
    """a plugins.json is held to the rules of the server, in its words"""
    cases = (here / "definitions.txt").read_text().split("\n\n")[1:]
    same(len(cases) > 100, True)
    for text, *wanted in (case.splitlines() for case in cases):
        found = await page.run(f"import('/valor-check.js').then(({{ faultsOf }}) => faultsOf({json.dumps(text)}))")
        found = [": ".join(filter(None, fault[:2])) for fault in found]
        if found != [line.strip() for line in wanted]:
            raise AssertionError(f"{text}: {found}")
    # After a hundred faults, the others are only counted.
    many = json.dumps({"plugins": [{"type": f"x{at}"} for at in range(300)]})
    found = await page.run(f"import('/valor-check.js').then(({{ faultsOf }}) => faultsOf({json.dumps(many)}))")
    same([len(found), found[100]], [101, ["", "500 further faults"]])


@step
async def refused(page):
    """start refuses a plugins.json that the server refuses, and the registry such a definition"""
    address = f"http://127.0.0.1:{page.port}/hand"
    files["/hand/"] = files["/wrong/"]
    files.update({f"/hand/{f.name}": files[f"/{f.name}"] for f in web.glob("*.js")})

    async def start(*plugins):
        files["/hand/plugins.json"] = (json.dumps({"plugins": plugins}).encode(), "application/json")
        return await page.run(
            'import("/hand/valor.js").then(({ start }) => start()).then(() => null, (error) => error.message)')

    await page.go(f"{address}/")
    good = {"type": "wasm", "name": "a", "path": "/guest.wasm", "config": "kept"}
    slip = {"type": "wasm", "name": "b", "path": "/guest.wasm", "limits": {"timout": 5}, "optional": True}
    unknown = "plugins[1].limits.timout: vlugin `b`: unknown key; did you mean `timeout`?"
    taken = "plugins[2].name: the name `a` is taken by plugins[0]; each has its own"
    # Even if nothing was mounted before, and the page requests something.
    same(await start(good, slip, good), f"valor: {address}/plugins.json: {unknown}; {taken}")
    same(await page.run("fetch('/a/').then(({ status }) => status)"), 404)
    files["/hand/plugins.json"] = (b'{ "plugin": [] }', "application/json")
    missing = '`plugins` is missing; write { "plugins": [ … ] }; plugin: unknown key; did you mean `plugins`?'
    message = "import('/hand/valor.js').then(({ start }) => start()).then(() => null, (error) => error.message)"
    same(await page.run(message), f"valor: {address}/plugins.json: {missing}")
    same(await start(good), None)
    # A faulty definition leaves the old one in place.
    same(await start(good, slip), f"valor: {address}/plugins.json: {unknown}")
    same(await page.run("fetch('/a/').then((response) => response.text())"), "kept")

    async def define(method, path, definition):
        body = definition if isinstance(definition, str) else json.dumps(definition)
        options = {"method": method, "body": body, "headers": {"content-type": "application/json"}}
        return await page.run(
            f"fetch({path!r}, {json.dumps(options)}).then(async (it) => [it.status, (await it.json()).detail])")

    same(await define("POST", "/_plugins", slip), [422, "limits.timout: unknown key; did you mean `timeout`?"])
    same(await define("POST", "/_plugins", None), [
        422, 'expected an object such as { "type": "native", "name": "hello" }, found null'])
    wrong = {**good, "limits": {"body": 0}}
    same(await define("PUT", "/_plugins/a", wrong), [
        422, "limits.body: a body's limit is 1 to 1099511627776 bytes (1 TiB), not 0"])
    # What JSON.parse says nothing of.
    twice = "config.a: this key is there already; take one of them out"
    same(await define("POST", "/_plugins", '{"type": "wasm", "name": "b", "config": {"a": 1, "a": 2}}'), [422, twice])
    same(await define("PATCH", "/_plugins/a", '{"config": {"a": 1, "a": 2}}'), [422, twice])
    anew = await define("POST", "/_plugins", {**good, "name": "b", "instance": "request"})
    same((anew[0], anew[1].split(" (")[0]), (
        422, "instance: a page does not begin a module anew with each request"))
    same((await define("POST", "/_plugins", {**good, "name": "b"}))[0], 201)
    same((await define("POST", "/_plugins", {"type": "native", "name": "c"})), [
        422, "a native vlugin does not run in this page"])


@step
async def scoped(page):
    """a worker from a folder below the page, whose server allows it"""
    files["/scoped/"] = files["/wrong/"]
    files["/scoped/plugins.json"] = (
        json.dumps({"plugins": [{**ours, "path": "/guest.wasm"}]}).encode(), "application/json")
    files.update({f"/scoped/assets/{f.name}": files[f"/{f.name}"] for f in web.glob("*.js")})
    await page.go(f"http://127.0.0.1:{page.port}/scoped/")
    await page.run('import("/scoped/assets/valor.js").then(({ start }) => start({ scope: "./" })).then(() => null)')
    same(await page.run('fetch("/guest/").then((response) => response.text())'), "hello")


WORKER = [
    "valor-sw.js", "valor-dispatch.js", "valor-admin.js", "valor-registry.js", "valor-store.js", "valor-rules.js",
    "account.js", "guest.js",
]
fits("what a page has beside it to check definitions", ["valor-check.js", "valor-keys.js"], 7680)
fits("the service worker and all it imports for WebAssembly", WORKER, 16 * 1024)
say(plugins)
asyncio.run(play(Server(), ["guest", "late", "small", "hurried", "narrow", "open"]))
