#!/usr/bin/env node
// Starts the program for this platform, which npm has installed as an optional dependency. Signals are passed on, and
// the exit code is the program's.
"use strict";

const { spawn } = require("node:child_process");

const name = `valor_cli-${process.platform}-${process.arch}`;
const file = process.platform === "win32" ? "valor_cli.exe" : "valor_cli";

let program;
try {
  program = require.resolve(`${name}/bin/${file}`);
} catch {
  console.error(
    `error: the npm package ${name} is not installed. Install valor_cli without --omit=optional; if there is no such ` +
      "package for this platform (glibc is needed on Linux), build the program: cargo install valor_cli",
  );
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// Ctrl-C in a terminal reaches the program too, and a second signal would end it before it has drained.
const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => (signal === "SIGINT" && terminal) || child.kill(signal));
}
child.on("error", (error) => {
  console.error(`error: ${program} cannot be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});
