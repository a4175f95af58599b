"""Plays guests that ask for too much in Chromium: what the service worker holds for one has an end, and the
next request is answered.

    walls.py

The guests are written by hand, from docs/src/guest-abi.md, and assembled by binaryen's `wasm-as`. Prints a line for
each conversation, and fails where one fails.
"""

import asyncio, gzip, json, pathlib, struct, subprocess, tempfile, zlib
from chromium import until
from stage import SCRIPT, Server, files, get, here, play, same, say, step


def message(status, body, headers=()):
    """A response: docs/src/guest-abi.md#messages."""
    head = struct.pack("<BBHIHBB", 2, 11, status, 0, len(headers), 0, 0)
    for name, value in headers:
        head += struct.pack("<HI", len(name), len(value)) + name + value
    return struct.pack("<IIQ", len(head), 2, len(body)) + head + body


def request(method, target, flags=0):
    head = struct.pack("<BBHIHBB", 1, 11, 0, len(target), 0, len(method), 0) + method + target
    return struct.pack("<IIQ", len(head), flags, 0) + head


IMPORTS = """
  (import "valor1" "ready" (func $ready (param i32 i32)))
  (import "valor1" "respond" (func $respond (param i32 i32 i32)))
  (import "valor1" "timer" (func $timer (param i32 f64)))
  (import "valor1" "wake" (func $wake))
  (import "valor1" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "valor1" "fetch" (func $fetch (param i32 i32 i32 i32 i32)))"""


def guest(on_request, answer=message(200, b"ok"), asked=b"", behind=0, answered="", pages=4):
    """A module whose `valor_request` does this; `$ok` answers it. What is `asked` has so many bytes of memory `behind`
    it."""
    text = lambda data: "".join(f"\\{byte:02x}" for byte in data)
    wat = f"""(module {IMPORTS}
  (memory (export "memory") {pages})
  (global $id (mut i32) (i32.const 0))
  (data (i32.const 1024) "{text(answer)}")
  (data (i32.const 32768) "{text(asked)}")
  (func $ok (call $respond (global.get $id) (i32.const 1024) (i32.const {len(answer)})))
  (func $times (param $n i32) (param $what i32)
    (loop $again
      (if (i32.eqz (local.get $what)) (then (call $wake)))
      (if (i32.eq (local.get $what) (i32.const 1)) (then (call $timer (local.get $n) (f64.const 1e15))))
      (if (i32.eq (local.get $what) (i32.const 2))
        (then (call $fetch (i32.or (local.get $n) (i32.const 0x80000000)) (i32.const 0) (i32.const 0)
          (i32.const 32768) (i32.const {len(asked) + behind}))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (local.get $n))))
  (func (export "valor_abi") (result i32) (i32.const 1))
  (func (export "valor_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "valor_free") (param i32 i32))
  (func (export "valor_init") (param i32 i32) (call $ready (i32.const 0) (i32.const 0)))
  (func (export "valor_request") (param $new i32) (param i32 i32) (global.set $id (local.get $new)) {on_request})
  (func (export "valor_body") (param i32 i32 i32 i32))
  (func (export "valor_fetch_response") (param $fetch i32) (param $at i32) (param $len i32) {answered})
  (func (export "valor_writable") (param i32 i32))
  (func (export "valor_timer") (param i32) (call $ok))
  (func (export "valor_cancel") (param i32))
  (func (export "valor_poll")))"""
    with tempfile.TemporaryDirectory() as dir:
        file = pathlib.Path(dir, "guest.wat")
        file.write_text(wat)
        subprocess.run(["wasm-as", "-all", file, "-o", file.with_suffix(".wasm")], check=True)
        return file.with_suffix(".wasm").read_bytes()


def times(count, what):
    return f"(call $times (i32.const {count}) (i32.const {what}))"


WAKE, TIMER, FETCH = range(3)
PLAIN = b"plain text " * 50
MIB = 1 << 20
plugins = []


def add(name, module, **limits):
    files[f"/{name}.wasm"] = (module, "application/wasm")
    allow = ["127.0.0.1", "localhost"]
    plugins.append({"type": "wasm", "name": name, "path": f"{name}.wasm", "limits": limits, "allow": allow})


for name, ms in {"t30d": 2592000000, "t1e15": 1e15, "tinf": "inf", "tnan": "nan", "t20": 20}.items():
    add(name, guest(f"(call $timer (i32.const 7) (f64.const {ms}))"), timeout=1)
for coding, body in {"gzip": gzip.compress(PLAIN), "deflate": zlib.compress(PLAIN), "strange": PLAIN}.items():
    headers = [(b"content-encoding", coding.encode()), (b"content-type", b"text/plain")]
    add(coding, guest("(call $ok)", message(200, body, headers)))
add("wakes", guest(times(400000, WAKE) + "(call $ok)"))
add("timers", guest(times(101, TIMER) + "(call $ok)"), timers=100)
add("few", guest(times(100, TIMER) + "(call $ok)"), timers=100)
# Each sends a body of one MiB.
large = request(b"POST", b"http://127.0.0.1:9/")
add(
    "bodies", guest(times(100, FETCH) + "(call $ok)", asked=large, behind=MIB, pages=32),
    host_memory=8 * MIB, fetches=1000)
# In the response to the fetch that is one too many, the fault's status is at 16 + 2.
refused = """(if (i32.load offset=4 (local.get $at)) (then
  (i32.store16 (i32.const 1042) (i32.load16_u offset=18 (local.get $at))) (call $ok)))"""
# One MiB of letters, as one line.
talk = f"""(memory.fill (i32.const 131072) (i32.const 97) (i32.const {MIB}))
  (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 131072) (i32.const {MIB})
    (i32.const 0) (i32.const 0) (i32.const 0))"""
add("talks", guest(talk + "(call $ok)", pages=32))
# A head, and memory as the body.
head = message(200, b"")
LARGE = 7 * MIB
respond = f"(call $respond (global.get $id) (i32.const 1024) (i32.const {len(head) + LARGE}))"
add("heavy", guest(respond, answer=head[:4] + bytes(12) + head[16:], pages=128), host_memory=16 * MIB)


async def logged(page, *parts):
    log = lambda: page.browser.log.read_text(errors="replace").split("\n")
    await until(f"the console says {parts}", lambda: any(all(part in line for part in parts) for line in log()))


@step
async def starts(page):
    """the page starts with them"""
    same(await page.run("begin()"), None)


@step
async def long_timers(page):
    """a timer beyond what a browser's timers know does not fire at once, nor one of no time at all"""
    same(await get(page, "/t20/"), [200, "ok"])
    names = ["t30d", "t1e15", "tinf", "tnan"]
    found = await page.run(
        f"Promise.all({json.dumps(names)}.map((name) => get(`/${{name}}/`).then(([status]) => status)))")
    same(found, [504] * 4)


@step
async def compressed(page):
    """what a vlugin compressed itself is plain for the page, one that is unknown is left alone"""
    look = (
        "((it) => it.text().then((text) => "
        "[text, it.headers.get('content-encoding'), it.headers.get('content-type')]))")
    for name, coding in {"gzip": None, "deflate": None, "strange": "strange"}.items():
        found = await page.run(f"fetch('/{name}/').then{look}")
        same(found, [PLAIN.decode(), coding, "text/plain"])


@step
async def floods(page):
    """one that asks for too much is ended with 502 and a line, and the next request finds a fresh one"""
    for name, why in {
        "timers": "it was ended: it has more than 100 timers (`limits.timers`)",
        "bodies": "it was ended: the host would hold more than 8388608 bytes for it (`limits.host_memory`)",
    }.items():
        same([(await get(page, f"/{name}/"))[0], (await get(page, f"/{name}/"))[0]], [502, 502])
        await logged(page, f"valor: {name}: {why}")
    same([await get(page, "/few/"), await get(page, "/few/")], [[200, "ok"], [200, "ok"]])
    # A hundred thousand requests for a turn are one turn.
    same([await get(page, "/wakes/"), await get(page, "/wakes/"), await get(page, "/t20/")], [[200, "ok"]] * 3)


@step
async def too_many_fetches(page):
    """a fetch over the limit is refused with 503, and the others go on"""
    address = f"http://127.0.0.1:{page.port}/hang".encode()
    module = guest(times(3, FETCH), asked=request(b"GET", address), answered=refused)
    files["/fetches.wasm"] = (module, "application/wasm")
    definition = {
        "type": "wasm", "name": "fetches", "path": "fetches.wasm",
        "allow": ["127.0.0.1"], "limits": {"fetches": 2, "timeout": 5},
    }
    same((await page.run(f"define('POST', '/_plugins', {json.dumps(definition)})"))[0], 201)
    same((await get(page, "/fetches/"))[0], 503)
    # The two are still running. They count, so all three are refused now.
    same((await get(page, "/fetches/"))[0], 503)


@step
async def unread(page):
    """large responses that nobody reads hold the next ones back, until they are read"""
    same(await page.run(
        "Promise.all([fetch('/heavy/'), fetch('/heavy/')])"
        ".then((all) => (globalThis.unread = all).map(({ status }) => status))"), [200, 200])
    found = await page.run("fetch('/heavy/').then((it) => [it.status, it.headers.get('retry-after')])")
    same(found, [503, "1"])
    lengths = "Promise.all(unread.map((it) => it.arrayBuffer())).then((all) => all.map(({ byteLength }) => byteLength))"
    same(await page.run(lengths), [LARGE] * 2)
    same(await page.run("fetch('/heavy/').then((it) => it.arrayBuffer()).then(({ byteLength }) => byteLength)"), LARGE)


@step
async def long_line(page):
    """a line for the log has an end"""
    same(await get(page, "/talks/"), [200, "ok"])
    await logged(page, "valor: talks: aaaa", "…")
    lines = page.browser.log.read_text(errors="replace").split("\n")
    same(max(len(line) for line in lines if "valor: talks:" in line) < 10000, True)


files["/"] = ((here / "scripts.html").read_bytes(), "text/html")
files["/scripts.js"] = ((here / "scripts.js").read_bytes(), SCRIPT)
say(plugins)
asyncio.run(play(Server(), [it["name"] for it in plugins]))
