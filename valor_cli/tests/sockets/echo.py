"""Speaks WebSocket with Debian's python3-websockets: echo.py URL [CERTIFICATE]."""

import asyncio
import ssl
import sys

import websockets


async def conversation(url, context):
    async with websockets.connect(url, max_size=None, ssl=context) as socket:
        for message in ("", "hello", "\u00e4" * 1000, b"\0\xff", bytes(4 << 20)):
            await socket.send(message)
            assert await socket.recv() == message, f"{len(message)} bytes came back other"
        # In fragments.
        await socket.send(["one", "two", "three"])
        assert await socket.recv() == "onetwothree"
        for number in range(1000):
            await socket.send(str(number))
            assert await socket.recv() == str(number)
        await (await socket.ping())
    assert socket.close_code == 1000, socket.close_code


async def main(url, certificate=None):
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    # Several at once, each with a connection of its own.
    await asyncio.wait_for(asyncio.gather(*(conversation(url, context) for _ in range(8))), 120)
    print("all came back")


asyncio.run(main(*sys.argv[1:]))
