"""Opens examples/web in Chromium as a person does, built and served by `valor_cli web --serve`.

    example.py VALOR_CLI SCREENSHOT

The page is used by its buttons, and the server's log holds no request for a vlugin in the end. The
screenshot is that of docs/src/images; beside it come one in dark and one of a narrow window.
"""

import asyncio, json, os, pathlib, shutil, sys, tempfile
from chromium import Chromium
from served import Served, same

screenshot = pathlib.Path(sys.argv[2])
examples = pathlib.Path(__file__).parents[3] / "examples"
# Presses a card's button and waits for an answer that contains this.
PRESS = """(async (name, part) => {
  const card = [...document.querySelectorAll("article")].find((it) => it.querySelector("h2").textContent === name);
  card.querySelector("form button").click();
  const answer = card.querySelector(".answer");
  for (let tries = 0; tries < 3000 && !answer.textContent.includes(part); tries++)
    await new Promise((later) => setTimeout(later, 20));
  return [...answer.querySelectorAll(".facts span")].map((it) => it.textContent)
    .concat(answer.querySelector("pre")?.textContent);
})"""


async def page_of_its_own():
    """The page that is written where there is none, under the policy that the server sends."""
    with tempfile.TemporaryDirectory() as dir:
        plugins = pathlib.Path(dir, "plugins.json")
        greet = {"type": "wasm", "name": "greet", "source": str(examples / "greet"), "prefix": "/api/greet"}
        pathlib.Path(dir, "board.js").write_text(
            "export default { fetch: (request, env) => new Response(`${env.name}!`) };\n")
        plugins.write_text(json.dumps({"plugins": [{"type": "js", "name": "board"}, greet]}))
        async with Served(plugins) as served, Chromium("--accept-lang=fr-CH,fr,en") as browser:
            page = await browser.open(served.url)
            state = "document.querySelector('#state').textContent"
            for _ in range(3000):
                if await page.run(state) != "Starting…":
                    break
                await asyncio.sleep(0.02)
            same((await page.run(state)).split(":")[0], "They answer in this page")
            cells = "[...document.querySelectorAll('td')].map((it) => it.textContent)"
            same(await page.run(cells), [
                "board", "js", "/board", "service worker", "ready",
                "greet", "wasm", "/api/greet", "service worker", "ready",
            ])
            same(await page.run("fetch('/board').then((response) => response.text())"), "board!")
            await page.go(f"{served.url}/api/greet?who=Zoe")
            same(await page.run("document.body.textContent"), "Bonjour, Zoe! You are number 1.")
    print("the page that lists the vlugins: it does, its links lead to them, and they know the reader's language")


async def from_npm():
    """The example hono, with what it imports installed."""
    tools = pathlib.Path(os.environ["VALOR_JS_TOOLS"])
    with tempfile.TemporaryDirectory() as dir:
        app = pathlib.Path(dir, "hono")
        (app / "node_modules").mkdir(parents=True)
        for file in ["hono.js", "package.json"]:
            shutil.copy(examples / "hono" / file, app)
        (app / "node_modules/hono").symlink_to(tools / "hono")
        plugins = pathlib.Path(dir, "plugins.json")
        plugins.write_text(json.dumps(
            {"plugins": [{"type": "js", "name": "hono", "path": "hono/hono.js", "config": "de"}]}))
        os.environ["VALOR_ESBUILD"] = str(tools / ".bin/esbuild")
        async with Served(plugins) as served, Chromium() as browser:
            page = await browser.open(served.url)
            await page.run("import('./valor.js').then(({ start }) => start({ plugins: 'plugins.json' }))")
            text = "((target) => fetch(target).then(async (it) => [it.status, await it.text()]))"
            same(await page.run(f"{text}('/hono/hello/Zoe')"), [200, "Hallo, Zoe!"])
            same(await page.run(f"{text}('/hono/hello/Zoe?in=fr')"), [200, "Bonjour, Zoe!"])
            same(await page.run(f"{text}('/hono')"), [200, '{"Zoe":2}'])
            same(await page.run(f"{text}('/hono/hello/Zoe?in=x')"), [400, "x is not one of de, en, fr"])
            events = "".join(f"event: left\ndata: {left}\n\n" for left in [2, 1, 0])
            same(await page.run(f"{text}('/hono/countdown?from=2')"), [200, events])
            timing = "fetch('/hono').then((it) => it.headers.get('server-timing'))"
            same((await page.run(timing)).split("=")[0], "app;dur")
    print("the example hono: bundled with what it imports, it answers in a page as on the server")


async def axum_app():
    """The example axum_todo, by its own plugins.json: the module that the server runs as well."""
    async with Served(examples / "axum_todo/plugins.json") as served, Chromium() as browser:
        page = await browser.open(served.url)
        await page.run("import('./valor.js').then(({ start }) => start({ plugins: 'plugins.json' }))")
        text = "((target, init) => fetch(target, init).then(async (it) => [it.status, await it.text()]))"
        same(await page.run(f"{text}('/todo')"), [200, "todo: 1 left"])
        init = "{ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{\"text\":\"Write\"}' }"
        same(await page.run(f"{text}('/todo/todos', {init})"), [201, '{"id":2,"text":"Write","done":false}'])
        same((await page.run(f"{text}('/todo/todos?done=perhaps')"))[0], 400)
        first = """fetch('/todo/left').then(async (it) =>
            new TextDecoder().decode((await it.body.getReader().read()).value))"""
        same(await page.run(first), "data: 2\n\n")
    print("the example axum_todo: its routes and its events are in a page what they are on the server")


async def examples_page():
    async with Served(examples / "web/plugins.json") as served, Chromium() as browser:
        page = await browser.open(served.url)

        async def press(name, part):
            """Presses a card's button, and waits for this in its answer."""
            facts = await page.run(f"{PRESS}({json.dumps(name)}, {json.dumps(part)})")
            if not any(part in (fact or "") for fact in facts):
                raise AssertionError(f"{name} answers {facts}")

        shown = "document.querySelectorAll('article').length"
        await there(page, "events")
        same([await page.run(shown), await page.run("document.querySelector('#state').textContent")], [5, ""])
        await press("events", "event 2: tick")
        await press("greet", "Hello, Zoe! You are number 1.")
        await press("alice", "Alice says hello Zoe!")
        await press("echo", "There and back again.")
        await press("board", "Water the plants")
        await page.shot(screenshot, 1100, 872)
        await page.shot(screenshot.with_stem(f"{screenshot.stem}-dark"), 1100, 872, "dark")
        await page.shot(screenshot.with_stem(f"{screenshot.stem}-narrow"), 390, 844)
        same(await page.run("document.querySelector('#answered').textContent"), "4")
        await press("events", "closed")
        same(await page.run(
            "[...document.querySelectorAll('.facts')].every((it) => it.textContent.includes('0 bytes over'))"), True)
        # Registered in the page, there after a reload, and removed.
        await page.run("document.querySelector('#register button').click()")
        await there(page, "bob")
        await press("bob", "Bob says hello Zoe!")
        await page.reload()
        await there(page, "bob")
        await press("bob", "Bob says hello Zoe!")
        # Its notes outlive the page.
        notes = "fetch('/board/').then((response) => response.json()).then((notes) => notes.map(({ text }) => text))"
        same(await page.run(notes), ["Water the plants"])
        same(await page.run("document.querySelector('#network').textContent"), "0 bytes")
        requests = [line for line in served.log().splitlines() if " GET /" in line or " POST /" in line]
        vlugins = ["/greet", "/alice", "/echo", "/events", "/bob", "/board", "/_plugins"]
        same([line for line in requests if any(f" {path}" in line for path in vlugins)], [])
        if not any("/plugins.json" in line for line in requests):
            raise AssertionError("the server's log has no requests at all")
    print("the page of examples/web: all cards answer, and none of it reached the network")


async def there(page, name):
    """Waits for a card."""
    shown = f"[...document.querySelectorAll('h2')].some((it) => it.textContent === {json.dumps(name)})"
    for _ in range(3000):
        if await page.run(shown):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"there is no card of {name}")


async def main():
    await examples_page()
    await page_of_its_own()
    await from_npm()
    await axum_app()


asyncio.run(main())
