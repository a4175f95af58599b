"""Plays JavaScript vlugins in Chromium: those that the service worker imports, and those that were registered
later, in a page's Worker.

    scripts.py GUEST.wasm

The vlugins stand in the folder beside it. Prints a line for each conversation, and fails where one
fails, or where what they add to the service worker has grown over its 8 KiB.
"""

import asyncio, hashlib, json, pathlib, sys
import stage
from chromium import until
from stage import SCRIPT, Server, asked, files, fits, get, here, play, same, say, step, web

# The policy of the docs, and what a vlugin's fetch of such an address needs.
stage.CSP += "; connect-src 'self' data:"
server = Server()
PORT = server.server_port
BOTH = ["board", "late"]
files["/"] = ((here / "scripts.html").read_bytes(), "text/html")
files["/scripts.js"] = ((here / "scripts.js").read_bytes(), SCRIPT)
files["/guest.wasm"] = (pathlib.Path(sys.argv[1]).read_bytes(), "application/wasm")


def script(name, file, **more):
    """A definition as `valor_cli web` writes it."""
    path = f"vlugins/{file}.js"
    source = (here / path).read_bytes()
    files.setdefault(f"/{path}", (source, SCRIPT))
    return {
        "type": "js", "name": name, "path": path,
        "sha256": hashlib.sha256(files[f"/{path}"][0]).hexdigest(),
        **more,
    }


def publish(*more):
    """The folder, with its valor-vlugins.js."""
    listed = [
        script(
            "board", "board", config={"a": [1, "ä"]}, allow=[f"127.0.0.1:{PORT}"],
            limits={"body": 1 << 24, "fetches": 2, "calls": 2}),
        script("again", "board", prefix="/deep/again", limits={"timeout": 0.3}),
        script("one", "listens", config=1),
        script("two", "listens", config=2),
        script("set", "onfetch"),
        script("proxied", "proxied"),
        {"type": "wasm", "name": "guest", "path": "guest.wasm", "config": "from wasm", "allow": []},
        *more,
    ]
    scripts = [it for it in listed if it["type"] == "js" and "sha256" in it]
    lines = ['import { vlugins } from "./valor-js.js";']
    for n, it in enumerate(scripts):
        lines += [f'import "./valor-next.js?{it["name"]}";', f'import * as v{n} from "./{it["path"]}?{it["name"]}";']
    rows = ", ".join(f'["{it["name"]}", "{it["path"]}", "{it["sha256"]}", v{n}]' for n, it in enumerate(scripts))
    lines += ['import "./valor-next.js";', f"vlugins([{rows}]);"]
    imports = "\n".join(lines).encode()
    files["/valor-vlugins.js"] = (imports, SCRIPT)
    worker = (web / "valor-sw.js").read_bytes()
    files["/valor-sw.js"] = (worker + f"// Imports scripts of {hashlib.sha256(imports).hexdigest()}\n".encode(), SCRIPT)
    say(listed)


def late(**more):
    """One that no service worker has imported."""
    definition = {
        "type": "js", "name": "late", "path": "vlugins/board.js",
        "config": "late", "allow": [f"127.0.0.1:{PORT}"],
    }
    return {**definition, "limits": {"body": 1 << 24, "fetches": 2, "calls": 2}, **more}


def define(page, method, path, definition):
    return page.run(f"define({json.dumps(method)}, {json.dumps(path)}, {json.dumps(definition)})")


async def where(page):
    listed = json.loads((await get(page, "/_plugins"))[1])["plugins"]
    return {it["name"]: it["runs"] for it in listed}


@step
async def starts(page):
    """both forms answer in the service worker, a file that is mounted twice has two modules"""
    publish()
    same(await page.run("begin()"), None)
    same(await get(page, "/board/"), [200, 'board {"a":[1,"ä"]}'])
    same(await get(page, "/deep/again/"), [200, "again null"])
    same(
        [await get(page, "/board/count"), await get(page, "/board/count"), await get(page, "/deep/again/count")],
        [[200, "1"], [200, "2"], [200, "1"]])
    same(
        await where(page),
        dict.fromkeys(["again", "board", "guest", "one", "proxied", "set", "two"], "service worker"))


@step
async def side_by_side(page):
    """listeners of two vlugins do not meet"""
    same([await get(page, "/one/first"), await get(page, "/two/config")], [[200, "the first"], [200, "2"]])
    same(
        [await get(page, "/one/count"), await get(page, "/two/count"), await get(page, "/one/count")],
        [[200, "one 1"], [200, "two 1"], [200, "one 2"]])
    same(await page.run('get("/set/", { method: "PUT" })'), [200, "set: PUT"])
    same(await get(page, "/proxied/"), [200, "by a Proxy"])
    same(await get(page, "/network"), [200, "from the network"])


@step
async def unanswered(page):
    """a listener that throws, one that comes too late, and none that answers"""
    status, body = await get(page, "/two/throw")
    same([status, json.loads(body)["detail"]], [403, "out"])
    same([(await get(page, f"/two/{path}"))[0] for path in ["late", "none"]], [500, 502])
    await logged(page, "the vlugin `two` failed: none of its listeners has called respondWith (id ")


@step
async def registered(page):
    """one that is registered while the page runs answers in a page's Worker"""
    same(await define(page, "POST", "/_plugins", late()), [201, "page worker"])
    same(await get(page, "/late/"), [200, 'late "late"'])
    same((await where(page))["late"], "page worker")


@step
async def requests(page):
    """a request as it comes in, with all of its headers"""
    for name in BOTH:
        options = (
            '{ method: "POST", body: "ä", '
            'headers: { "x-request-id": "abc", "content-type": "text/plain", "x-mine": "1" } }')
        status, body = await page.run(f'get("/{name}/request?q=%20", {options})')
        found = json.loads(body)
        address = f"http://127.0.0.1:{page.port}/request?q=%20"
        same([status, found["method"], found["url"], found["body"]], [200, "POST", address, "ä"])
        wanted = {
            "host": f"127.0.0.1:{page.port}", "x-request-id": "abc", "x-forwarded-prefix": f"/{name}",
            "x-mine": "1", "content-type": "text/plain",
        }
        same({key: found["headers"].get(key) for key in wanted}, wanted)
        same(await get(page, f"/{name}/frozen"), [200, "true"])
        same(await get(page, f"/{name}/immutable"), [200, "TypeError null, of the copy"])


@step
async def streams(page):
    """bodies stream both ways, and are never gathered"""
    for name in BOTH:
        same(await page.run(f'upload("{name}", 20)'), [200, "2000000"])
        same(await page.run(
            f'get("/{name}/echo", {{ method: "POST", body: "x".repeat(3000000) }})'
            '.then(([status, text]) => [status, text.length])'), [200, 3000000])
        same(await page.run(f'listen("/{name}/events", 3)'), ["tick 0", "tick 1", "tick 2"])
        same(await page.run(
            f'get("/{name}/length", {{ method: "POST", body: new Uint8Array((1 << 24) + 1) }})'
            '.then(([status]) => status)'), 413)


@step
async def cancelled(page):
    """who stops reading cancels the stream, who gives up a call aborts the request's signal"""
    for name in BOTH:
        before = (await get(page, f"/{name}/cancelled"))[1]
        same(await page.run(f'leave("/{name}/stream")') > 0, True)
        same(int(await page.run(f'changed("/{name}/cancelled", "{before}")')), int(before) + 1)
        before = (await get(page, f"/{name}/left"))[1]
        [other] = {*BOTH} - {name}
        same(await get(page, f"/{other}/giveup?to={name}"), [200, "TimeoutError"])
        same(int(await page.run(f'changed("/{name}/left", "{before}")')), int(before) + 1)


@step
async def limits(page):
    """a request that is out of time is 504, and its signal aborts"""
    same((await get(page, "/deep/again/wait"))[0], 504)
    same(await get(page, "/deep/again/left"), [200, "1"])
    same(await define(page, "PUT", "/_plugins/late", late(limits={"timeout": 0.3})), [200, "page worker"])
    same((await get(page, "/late/wait"))[0], 504)
    same(await page.run('changed("/late/left", "0")'), "1")


@step
async def endless(page):
    """a page's Worker that computes without a pause is ended, and the next request finds a fresh one"""
    same((await get(page, "/late/spin"))[0], 504)
    for _ in range(3000):
        if (await get(page, "/late/count")) == [200, "1"]:
            break
    else:
        raise AssertionError("it does not come back")
    same(await define(page, "PUT", "/_plugins/late", late()), [200, "page worker"])


async def logged(page, *parts):
    """Waits for a line of the browser's console that has all of these in it."""
    log = lambda: page.browser.log.read_text(errors="replace").replace("\n    at ", " at ").split("\n")
    await until(f"the console says {parts}", lambda: any(all(part in line for part in parts) for line in log()))


@step
async def errors(page):
    """a throw is one failed response, with its place in the console"""
    for name in BOTH:
        source = (here / "vlugins/board.js").read_text().split("\n")
        [line] = [n for n, text in enumerate(source, 1) if '"on purpose"' in text]
        status, body = await page.run(f'get("/{name}/throw", {{ headers: {{ "x-request-id": "t-{name}" }} }})')
        said = {
            "detail": f"the vlugin `{name}` failed; the log says why, under id t-{name}",
            "status": 500, "title": "Internal Server Error", "type": "about:blank",
        }
        same([status, json.loads(body)], [500, said])
        await logged(
            page, f"the vlugin `{name}` failed: on purpose (id t-{name}) at ", "/vlugins/board.js?", f":{line}:11")
        status, body = await get(page, f"/{name}/teapot")
        same([status, json.loads(body)["detail"]], [418, "short and stout"])
        same([(await get(page, f"/{name}/{path}"))[0] for path in ["word", "nothing"]], [500, 500])
        await logged(page, f"the vlugin `{name}` failed: it answered with undefined, which is no Response")
        same((await get(page, f"/{name}/count"))[0], 200)


@step
async def allowed(page):
    """fetch reaches what is allowed, and nothing else"""
    to = f"http://127.0.0.1:{page.port}/network"
    for name in BOTH:
        same(
            [await get(page, f"/{name}/{path}?to={to}") for path in ["fetch", "late"]],
            [[200, "from the network"]] * 2)
        status, body = await get(page, f"/{name}/fetch?to=http://localhost:{page.port}/network")
        refusal = f'localhost:{page.port} may not be reached: add "localhost:{page.port}" to this vlugin\'s `allow`'
        # The forbidden address is for the log, not for the client.
        same([status, "may not" in body], [500, False])
        await logged(page, f"the vlugin `{name}` failed: {refusal}")
        caught = json.loads((await get(page, f"/{name}/caught?to=http://localhost:{page.port}/network"))[1])
        same(caught, {"name": "TypeError", "status": 403, "message": refusal})
        same(await get(page, f"/{name}/fetch?to=data:,here"), [200, "here"])
        same((await get(page, f"/{name}/fetch?to={to.replace('127', 'a@127')}"))[0], 500)
        same((await get(page, f"/{name}/fetch?to=/moved"))[0], 502)
    # The same file under another name does not share its permissions.
    same((await get(page, f"/deep/again/fetch?to={to}"))[0], 500)
    # The call has no known caller, so it is refused. In a Worker, there is nobody else.
    same([(await get(page, f"/{name}/then?to={to}"))[0] for name in BOTH], [500, 200])


@step
async def calls(page):
    """vlugins of all kinds call each other"""
    for name in BOTH:
        same(await get(page, f"/{name}/call?to=/guest/"), [200, "from wasm"])
        same(await get(page, f"/{name}/call?to=/one/config"), [200, "1"])
        same(
            await page.run(f'get("/{name}/call?to=/guest/echo", {{ method: "POST", body: "there and back" }})'),
            [200, "there and back"])
        status, body = await get(page, f"/{name}/call?to=/nobody/")
        same([status, json.loads(body)["detail"]], [404, "no vlugin is named `nobody`"])
        same((await get(page, f"/{name}/call?to=/_plugins/"))[0], 404)
        counted = int((await get(page, f"/guest/call?to={name}/count"))[1])
        same(await get(page, f"/{name}/count"), [200, str(counted + 1)])
        status, body = await get(page, f"/{name}/env?to=board")
        found = json.loads(body)["headers"]
        same([status, found["cookie"], found["x-request-id"], found["host"]], [200, "c=d", "passed", "x"])
        same(await get(page, f"/{name}/baked"), [200, '["a=1","b=2"]'])
    same(await get(page, "/board/call?to=/late/"), [200, 'late "late"'])
    same(await get(page, "/late/call?to=/board/"), [200, 'board {"a":[1,"ä"]}'])


@step
async def too_many(page):
    """what is over the limits of fetches and calls is refused with 503, until one has ended"""
    for name in BOTH:
        [other] = {*BOTH} - {name}
        for _ in range(2):
            status, body = await get(page, f"/{name}/many?to={other}")
            same([status, json.loads(body)], [200, ["TimeoutError", "TimeoutError", 503] * 3])


@step
async def afterwards(page):
    """waitUntil goes on after the response"""
    for name in BOTH:
        same(await get(page, f"/{name}/after"), [200, "0"])
        same(int(await page.run(f'changed("/{name}/after", "0")')) > 0, True)


@step
async def worker_ended(page):
    """the service worker is ended: what it imported begins anew, the page's Worker goes on"""
    before = int((await get(page, "/late/count"))[1])
    same((await get(page, "/board/count"))[0], 200)
    asked.clear()
    await page.end_worker()
    same([await get(page, "/board/count"), await get(page, "/late/count")], [[200, "1"], [200, str(before + 1)]])
    same(asked, [])


@step
async def replaced(page):
    """a replacement begins anew, one that fails leaves the old one, one that is removed ends"""
    same(await define(page, "PUT", "/_plugins/late", late(config="newer")), [200, "page worker"])
    same([await get(page, "/late/"), await get(page, "/late/count")], [[200, 'late "newer"'], [200, "1"]])
    same(await define(page, "PUT", "/_plugins/late", late(config="fail")), [422, "no board today"])
    same(await get(page, "/late/count"), [200, "2"])
    files["/vlugins/wrong.js"] = (b"export default {\n  fetch() { return new Response(;\n", SCRIPT)
    status, detail = await define(
        page, "POST", "/_plugins", {"type": "js", "name": "wrong", "path": "vlugins/wrong.js"})
    same([status, detail], [422, f"Unexpected token ';' (http://127.0.0.1:{page.port}/vlugins/wrong.js:2:33)"])
    files["/vlugins/empty.js"] = (b"export const fetch = 1;\n", SCRIPT)
    status, detail = await define(
        page, "POST", "/_plugins", {"type": "js", "name": "empty", "path": "vlugins/empty.js"})
    same([status, "export default { fetch(request, env, ctx)" in detail], [422, True])
    same(await define(page, "POST", "/_plugins", late(name="gone", config="gone")), [201, "page worker"])
    same(await page.run('fetch("/_plugins/gone", { method: "DELETE" }).then(({ status }) => status)'), 204)
    locks = "navigator.locks.query().then(({ held }) => held.length)"
    for _ in range(3000):
        if (await page.run(locks)) == 1:
            return
    raise AssertionError(f"{await page.run(locks)} Workers are left")


@step
async def two_pages(page):
    """the page that had the Worker is closed: what runs ends, and another page has it anew"""
    other = await page.browser.open(f"http://127.0.0.1:{page.port}/")
    same(await other.run("begin()"), None)
    same((await get(other, "/late/count"))[0], 200)
    # It belongs to the first page, and a navigation ends it.
    await other.run('globalThis.running = get("/late/wait"), get("/late/count")')
    await page.go("about:blank")
    same((await other.run("running"))[0], 502)
    same(await get(other, "/late/count"), [200, "1"])
    await page.go(f"http://127.0.0.1:{page.port}/")
    same(await page.run("begin()"), None)
    same(await get(page, "/late/count"), [200, "2"])
    await other.ask("Page.close")
    for _ in range(3000):
        if (await get(page, "/late/count")) == [200, "1"]:
            return
    raise AssertionError("it does not begin anew")


@step
async def no_page(page):
    """no page is there to have it: 503, in plain words"""
    await page.go("about:blank")
    await page.go(f"http://127.0.0.1:{page.port}/late/")
    text = json.loads(await page.run("document.body.textContent"))
    same([text["status"], text["detail"]], [
        503, "it runs in a page's worker, and no page that has called start() is open; reload one"])
    await page.go(f"http://127.0.0.1:{page.port}/board/")
    same(await page.run("document.body.textContent"), 'board {"a":[1,"ä"]}')
    await page.go(f"http://127.0.0.1:{page.port}/")
    same(await page.run("begin()"), None)
    same(await get(page, "/late/"), [200, 'late "newer"'])


@step
async def hard_reload(page):
    """after a reload past the service worker"""
    await page.reload(past_worker=True)
    same(await page.run("begin()"), None)
    same([await get(page, "/late/"), (await get(page, "/board/"))[0]], [[200, 'late "newer"'], 200])


@step
async def newer_folder(page):
    """the folder is written again: the newer service worker takes over while requests run"""
    await page.run('globalThis.running = get("/deep/again/wait"), get("/board/")')
    await page.run('globalThis.events = listen("/board/events", 60), get("/board/")')
    newer = files["/vlugins/board.js"][0].replace(b"String(++counted)", b"`newer ${++counted}`")
    files["/vlugins/board.js"] = (newer, SCRIPT)
    publish(script("added", "onfetch"))
    # Read before the newer worker is there. The page's Worker has what the older one has not imported.
    same(await page.run("begin()"), None)
    same([await get(page, "/board/count"), await get(page, "/added/")], [[200, "newer 1"], [200, "set: GET"]])
    same((await page.run("running"))[0], 504)
    await page.run("""navigator.serviceWorker.getRegistration().then(async (registration) => {
        const changed = new Promise((done) =>
            navigator.serviceWorker.addEventListener("controllerchange", done, { once: true }));
        await registration.update();
        await changed;
        return null;
    })""")
    same(await page.run("events.then((heard) => heard.length)"), 60)
    same([await get(page, "/board/count"), await get(page, "/added/")], [[200, "newer 1"], [200, "set: GET"]])
    found = await where(page)
    same([found["board"], found["added"], found["late"]], ["service worker", "service worker", "page worker"])


@step
async def offline(page):
    """without the network"""
    page.server.stop()
    try:
        await page.end_worker()
        same(
            [(await get(page, "/board/"))[0], await get(page, "/late/"), await get(page, "/one/config")],
            [200, [200, 'late "newer"'], [200, "1"]])
    finally:
        page.server = Server(page.port)


fits(
    "what JavaScript vlugins add to it",
    ["valor-js.js", "valor-pages.js", "valor-line.js", "valor-next.js", "valor-vlugins.js"],
    8 * 1024)
asyncio.run(play(server, ["board", "late", "one", "two", "set", "proxied", "guest", "deep", "added"]))
