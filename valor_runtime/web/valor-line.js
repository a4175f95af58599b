// A port with two ends, each of which can ask the other: requests, responses, faults, bodies as streams. The service
// worker has one end (valor-pages.js), a vlugin in a page's Worker the other (valor-worker.js).

import { Fault } from "./valor-rules.js";

export class Line {
  /** `answer(what, request)` answers the other end. */
  constructor(port, answer) {
    Object.assign(this, { port, answer, next: 1, open: new Map(), stops: new Map(), over: new AbortController() });
    port.onmessage = ({ data }) => this.heard(data);
  }

  post(message, { body } = {}) {
    this.port.postMessage(message, body instanceof ReadableStream ? [body] : []);
  }

  /** The other end's answer. It ends with its body. */
  ask(what, { signal, event, ...request } = {}) {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      if (signal?.aborted || this.over.signal.aborted)
        return reject((signal?.aborted ? signal : this.over.signal).reason);
      const stop = () => {
        this.post({ id, stop: true });
        reject(signal.reason);
      };
      signal?.addEventListener("abort", stop, { once: true });
      const done = () => {
        signal?.removeEventListener("abort", stop);
        if (this.open.delete(id)) this.post({ id, done: true });
        this.emptied?.();
      };
      this.open.set(id, { resolve, reject, done });
      this.post({ id, what, request }, request);
    });
  }

  async heard({ id, what, request, response, fault, stop, done }) {
    if (what !== undefined) return this.reply(id, what, request);
    if (stop) this.stops.get(id)?.abort(new Fault("error", 499, "the client has gone, or the time is over"));
    if (stop || done) return this.stops.delete(id);
    const exchange = this.open.get(id);
    if (!exchange) return response?.body?.cancel?.();
    if (fault) exchange.reject(Object.assign(new Fault("error", 500, ""), fault));
    else exchange.resolve(response);
    if (!(response?.body instanceof ReadableStream)) return exchange.done();
    // A stream from a Worker that is gone would neither end nor fail by itself.
    const { readable, writable } = new TransformStream();
    const piped = response.body.pipeTo(writable, { signal: this.over.signal });
    response.body = readable;
    piped.catch(() => this.post({ id, stop: true })).then(exchange.done);
  }

  async reply(id, what, request) {
    const stop = new AbortController();
    this.stops.set(id, stop);
    try {
      const response = await this.answer(what, { ...request, signal: stop.signal });
      this.post({ id, response }, response);
    } catch (error) {
      const { kind = "error", status = 500, message, at } = error;
      this.post({ id, fault: { kind, status, message, at } });
    }
  }

  /** The other end is gone. */
  end(reason) {
    this.over.abort(reason);
    for (const { reject, done } of this.open.values()) {
      reject(reason);
      done();
    }
    this.port.close();
  }
}
