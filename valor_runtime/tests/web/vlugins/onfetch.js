// The shortest of the other form, for scripts.py.

onfetch = (event) => event.respondWith(new Response(`set: ${event.request.method}`));
