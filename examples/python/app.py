"""A vlugin in Python: a component of WASI 0.3, which componentize-py makes of this file. It greets whoever asks.

    GET /?who=Zoe    Hello, Zoe!

Its configuration is in the environment. README.md says how to build and serve it.
"""

from urllib.parse import parse_qs

import wit_world
from componentize_py_async_support import spawn
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import environment
from wit_world.imports.wasi_http_types import Fields, Response


class Handler(exports.Handler):
    async def handle(self, request):
        _, _, query = (request.get_path_with_query() or "/").partition("?")
        who = parse_qs(query).get("who", ["you"])[0]
        greeting = dict(environment.get_environment()).get("greeting", "Hello")
        return text(f"{greeting}, {who}!\n")


def text(said):
    writer, body = wit_world.byte_stream()

    async def write():
        with writer:
            await writer.write_all(said.encode())

    # The body is written while the response is on its way.
    spawn(write())
    headers = Fields.from_list([("content-type", b"text/plain; charset=utf-8")])
    no_trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))[1]
    response, _ = Response.new(headers, body, no_trailers)
    return response
