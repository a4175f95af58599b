// Also sends the service worker's console to the runner.

// Vlugins have a different `fetch`.
const { fetch } = globalThis;
const control = new URL(location).searchParams.get("control");
for (const level of ["error", "warn", "info"]) {
  const write = console[level];
  console[level] = (line) => {
    write.call(console, line);
    fetch(`${control}/log`, { method: "POST", body: JSON.stringify([level, String(line)]) });
  };
}
