// What scripts.py asks the page for. Unlike a usual page, it starts Valor on request.

import { start } from "./valor.js";

const later = (ms) => new Promise((done) => setTimeout(done, ms));

globalThis.begin = () => start().then(() => null, (error) => error.message);

globalThis.get = async (path, options) => {
  const response = await fetch(path, options);
  return [response.status, await response.text()];
};

globalThis.define = async (method, path, definition) => {
  const headers = { "content-type": "application/json" };
  const response = await fetch(path, { method, headers, body: JSON.stringify(definition) });
  const { detail, runs } = await response.json();
  return [response.status, detail ?? runs];
};

/** Asks until the answer is no longer this one. */
globalThis.changed = async (path, before) => {
  for (;;) {
    const [, answer] = await get(path);
    if (answer !== before) return answer;
    await later(10);
  }
};

/** Sends pieces, each once the vlugin has reported the one before. */
globalThis.upload = async (name, pieces) => {
  const piece = new Uint8Array(100000);
  const [sending, arrived] = [new TransformStream(), async (length) => {
    while ((await get(`/${name}/received`))[1] !== String(length)) await later(5);
  }];
  const answer = get(`/${name}/length`, { method: "POST", body: sending.readable, duplex: "half" });
  const writer = sending.writable.getWriter();
  for (let sent = 1; sent <= pieces; sent++) {
    await writer.write(piece);
    await arrived(sent * piece.length);
  }
  await writer.close();
  return answer;
};

/** Reads a piece of an endless stream and leaves. Returns how long that took. */
globalThis.leave = async (path) => {
  const reader = (await fetch(path)).body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return value.length;
};

globalThis.listen = async (path, events) => {
  const source = new EventSource(path);
  const heard = [];
  await new Promise((done) => (source.onmessage = ({ data }) => heard.push(data) === events && done()));
  source.close();
  return heard;
};
