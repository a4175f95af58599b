// The bytes that the service worker holds for one instance of a guest, and what runs for it. guest.js charges them
// before it copies or begins anything, and releases them at the end; above a limit nothing piles up.

import { Fault } from "./valor-rules.js";

const DEFAULTS = { host_memory: 67108864, timers: 10000, fetches: 128, calls: 128 };

export class Account {
  constructor(limits) {
    this.limits = { ...DEFAULTS, ...limits };
    Object.assign(this, { held: 0, fetches: 0, calls: 0 });
  }

  /** Holds so many bytes, or throws what ends the instance. */
  charge(bytes) {
    const { host_memory } = this.limits;
    if (this.held + bytes > host_memory)
      throw over(`the host would hold more than ${host_memory} bytes for it (\`limits.host_memory\`)`);
    this.held += bytes;
  }

  release(bytes) {
    this.held = Math.max(0, this.held - bytes);
  }

  /** Adds one timer to these. */
  timer(running) {
    const { timers } = this.limits;
    if (running >= timers) throw over(`it has more than ${timers} timers (\`limits.timers\`)`);
  }

  /** Begins one of `fetches` or `calls`, or refuses it. */
  begin(kind) {
    const most = this.limits[kind];
    if (this[kind] >= most)
      throw new Fault("refused", 503, `it has ${most} ${kind} under way already (\`limits.${kind}\`)`);
    this[kind]++;
  }

  end(kind) {
    this[kind]--;
  }

  /** Whether new requests must wait: one slow reader is no reason to end it. */
  get isNearlyFull() {
    return this.held > this.limits.host_memory * 0.75;
  }
}

const over = (line) => Object.assign(new Error(line), { isOver: true });
