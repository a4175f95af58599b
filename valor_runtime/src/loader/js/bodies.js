// Whether the body of a response is locked: by a reader, or by a pipe. A part of worker.js.
//
// Only a body that someone has asked for can be locked. To ask for it makes a stream of it, which is slower to send. So
// the realm notes which responses were asked for theirs, and nothing is read of the others here.

const seen = new WeakSet();
const see = uncurry(WeakSet.prototype.add);
const isSeen = uncurry(WeakSet.prototype.has);
const bodyOf = uncurry(Object.getOwnPropertyDescriptor(NativeResponse.prototype, "body").get);
const lockedOf = uncurry(Object.getOwnPropertyDescriptor(ReadableStream.prototype, "locked").get);

/** Makes the realm's responses note who has asked for their body. */
function noting() {
  const noted = {
    get body() {
      const body = bodyOf(this);
      see(seen, this);
      return body;
    },
  };
  const { get } = Object.getOwnPropertyDescriptor(noted, "body");
  Object.defineProperty(NativeResponse.prototype, "body", { get });
}

function isLocked(response) {
  const body = isSeen(seen, response) ? bodyOf(response) : null;
  return body !== null && lockedOf(body);
}
