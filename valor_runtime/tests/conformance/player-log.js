// Sends what the service worker writes to its console to the runner as well.

// That of vlugins is another one.
const { fetch } = globalThis;
const control = new URL(location).searchParams.get("control");
for (const level of ["error", "warn", "info"]) {
  const write = console[level];
  console[level] = (line) => {
    write.call(console, line);
    fetch(`${control}/log`, { method: "POST", body: JSON.stringify([level, String(line)]) });
  };
}
