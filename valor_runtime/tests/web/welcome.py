"""Opens the page for people in Chromium, as `valor_cli dev` serves it.

    welcome.py VALOR_CLI SCREENSHOT

It lists what is mounted, follows a change without a reload, sends a request by keyboard, and is readable in light and
dark. The screenshot is that of docs/src/images; beside it come one in dark and one of a narrow window.
"""

import asyncio, json, pathlib, re, signal, subprocess, sys, tempfile, urllib.error, urllib.request
from chromium import Chromium
from served import same

valor_cli, screenshot = sys.argv[1], pathlib.Path(sys.argv[2])
examples = pathlib.Path(__file__).parents[3] / "examples"
VLUGINS = [
    {"type": "native", "name": "hello", "source": str(examples / "hello_plugin")},
    {"type": "wasm", "name": "greet", "source": str(examples / "greet"), "prefix": "/api/greet"},
    {"type": "files", "name": "site", "path": "site"},
]
LATE = {"type": "native", "name": "late", "path": "./late.so"}
ROWS = """[...document.querySelectorAll("#vlugins tr")].map((row) =>
  [...row.children].slice(0, 5).map((cell) => cell.textContent))"""
TEXT = "((id) => document.getElementById(id).textContent)"
# The contrast of an element's text with what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """((selector) => {
  const element = document.querySelector(selector);
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((it) => it / 255)
    .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
    .reduce((sum, it, index) => sum + it * [0.2126, 0.7152, 0.0722][index], 0);
  let behind = element;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const both = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light);
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
})"""

RENAME = """(from, to) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
}"""


async def comes_to(page, script, wanted):
    """Waits until an expression has this value, or one of which it says that it is right."""
    for _ in range(3000):
        found = await page.run(script)
        if wanted(found) if callable(wanted) else found == wanted:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{script}: {found!r} instead of {wanted!r}")


async def press(page, key, text=""):
    for kind in ["keyDown", "keyUp"]:
        await page.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text if kind == "keyDown" else "",
                       windowsVirtualKeyCode={"Tab": 9, "Enter": 13}[key])


def refused(url):
    """What a program gets at `/`."""
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        return [error.code, error.headers["content-type"], json.load(error)["detail"]]


async def play(url, plugins):
    same(refused(url), [404, "application/problem+json", "no vlugin is mounted at /"])
    async with Chromium() as browser:
        page = await browser.open(url)
        await comes_to(page, f"{TEXT}('status')", "degraded: 4 vlugins, 1 unavailable")
        rows = await page.run(ROWS)
        same([row[:4] for row in rows], [
            ["/api/greet", "greet", "wasm", "0.1.0"], ["/hello", "hello", "native", "0.1.0"],
            ["/late", "late", "native", ""], ["/site", "site", "files", ""],
        ])
        same([row[4] for row in rows if row[1] != "late"], ["ready"] * 3)
        same(rows[2][4].startswith("unavailable: ") and "late.so" in rows[2][4], True)
        links = "[...document.querySelectorAll('#vlugins a, #own a')].map((it) => it.href)"
        own = ["/api/greet", "/hello", "/late", "/site", "/_health", "/_metrics", "/_welcome"]
        same(await page.run(links), [url + it for it in own])
        print("the page lists what is mounted, with kind, version, state and reason")

        labelled = "[...document.querySelectorAll('input, select, textarea')].every((it) => it.labels.length === 1)"
        same(await page.run(labelled), True)
        await page.run("document.getElementById('path').focus()")
        await page.run("document.getElementById('path').value = '/api/greet?who=Zoe'")
        await press(page, "Enter", "\r")
        await comes_to(page, f"{TEXT}('answer-status')", lambda it: re.fullmatch(r"200 OK, after [\d.]+ ms", it))
        await comes_to(page, f"{TEXT}('answer-body')", "Hello, Zoe! You are number 1.")
        same("x-valor-plugin: greet" in await page.run(f"{TEXT}('answer-headers')"), True)
        # Everything can be reached with Tab, and shows that it has the focus.
        reached = []
        for _ in range(40):
            await press(page, "Tab")
            reached.append(await page.run("document.activeElement.id || document.activeElement.tagName"))
            same(await page.run("document.activeElement === document.body"
                                " || getComputedStyle(document.activeElement).outlineStyle === 'solid'"), True)
        same({"method", "path", "headers", "body", "BUTTON", "log", "A"} - set(reached), set())
        print("the form sends a request by keyboard, and shows status, headers, body and time")

        # A body, a header, a path that begins without `/`, and an answer that is an error.
        fill = """(method, path, headers, body) => {
          for (const [id, value] of Object.entries({ method, path, headers, body }))
            document.getElementById(id).value = value;
          document.querySelector("#try button").click();
        }"""
        await page.run(f"({fill})('POST', 'late', 'x-one: two', 'a body')")
        await comes_to(page, f"{TEXT}('answer-status')", lambda it: it.startswith("503 Service Unavailable"))
        cell = "[...document.querySelectorAll('#vlugins tr')][{}].lastChild.textContent"
        await comes_to(page, cell.format(2), lambda it: float(it) > 0)
        same(await page.run(cell.format(0)), "0")
        failed = "POST /late failed with 503 in `late`"
        await comes_to(page, f"{TEXT}('log')", lambda it: failed in it)
        print("rates and the log follow")

        async def shot(end, width, height, scheme="light"):
            # Not with the folders of whoever runs this.
            for folder, name in [(plugins.parent, "app"), (examples.parent, "valor")]:
                await page.run(f"({RENAME})({json.dumps(str(folder))}, '/home/zoe/{name}')")
            await page.shot(screenshot.with_stem(screenshot.stem + end), width, height, scheme)

        for scheme in ["light", "dark"]:
            end = f"-{scheme}" if scheme != "light" else ""
            await shot(end, 1100, 1180, scheme)
            for what in ["h1", "#status", "caption", "#vlugins a", "#vlugins .good", "#vlugins .bad", "label", "input",
                         "button", "#log", "#answer-body"]:
                ratio = await page.run(f"{CONTRAST}({json.dumps(what)})")
                if ratio < 4.5:
                    raise AssertionError(f"{what} has a contrast of {ratio:.2f} in {scheme}")
        await shot("-narrow", 390, 1000)
        same(await page.run("document.documentElement.scrollWidth <= innerWidth"), True)
        print("it is readable in light and dark, and fits a narrow window")

        plugins.write_text(json.dumps({"plugins": VLUGINS}))
        await comes_to(page, f"{TEXT}('status')", "ready: 3 vlugins")
        same(len(await page.run(ROWS)), 3)
        print("a change is on the page without a reload")
        same(page.violations, [])
        print("nothing on it was against its Content-Security-Policy")


async def main():
    with tempfile.TemporaryDirectory() as dir:
        plugins = pathlib.Path(dir, "plugins.json")
        plugins.write_text(json.dumps({"plugins": [*VLUGINS[:2], LATE, VLUGINS[2]]}))
        pathlib.Path(dir, "site").mkdir()
        pathlib.Path(dir, "site/index.html").write_text("<!DOCTYPE html><title>A site</title>")
        with pathlib.Path(dir, "log").open("wb") as log:
            server = subprocess.Popen(
                [valor_cli, "dev", dir, "--addr", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            lines = iter(server.stdout.readline, "")
            url = next((it.split()[-1] for it in lines if it.startswith("listening on ")), None)
            await play(url, plugins)
            # The server does not wait for a page that is open.
            streams = [urllib.request.urlopen(f"{url}/_welcome/events") for _ in range(2)]
            server.send_signal(signal.SIGTERM)
            same(await asyncio.get_running_loop().run_in_executor(None, lambda: server.wait(60)), 0)
            same("drained, and ended" in pathlib.Path(dir, "log").read_text(), True)
            del streams
            print("the server drains although pages are open")
        except BaseException:
            print(pathlib.Path(dir, "log").read_text()[-6000:])
            raise
        finally:
            server.kill()


asyncio.run(main())
