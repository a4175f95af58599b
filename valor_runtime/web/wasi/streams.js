// Streams of 0.3, as jco gives them: between them and the streams of a browser, or a sink of `io.js`.

import { WINDOW } from "./io.js";

const dispose = Symbol.dispose ?? Symbol.for("dispose");

/** What is read next of a component's stream; `null` at its end. */
export async function next(stream) {
  const { value, done } = await stream.read({ count: WINDOW });
  if (done && !value?.length) return null;
  return typeof value === "number" ? Uint8Array.of(value) : Uint8Array.from(value ?? []);
}

/** A component's stream for a reader in the browser, who sets its pace: then `end` follows, or `gone`. */
export function readable(stream, signal, end, gone) {
  let broken;
  const done = () => signal.removeEventListener("abort", broken);
  return new ReadableStream(
    {
      start(controller) {
        broken = () => controller.error(signal.reason);
        signal.addEventListener("abort", broken, { once: true });
      },
      async pull(controller) {
        try {
          const piece = await next(stream);
          if (piece?.length) controller.enqueue(piece);
          if (piece) return;
          await end();
          controller.close();
        } catch (error) {
          done();
          throw error;
        }
        done();
      },
      cancel() {
        done();
        stream[dispose]();
        gone();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Writes a component's stream into a sink. */
export async function feed(stream, sink) {
  for (let piece; (piece = await next(stream)); ) sink.write(piece);
  sink.flush();
  return { tag: "ok" };
}
