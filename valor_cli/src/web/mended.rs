//! [`mended`]: the module of a component of 0.3, without the faults that js-component-bindgen 2.11 has.
//!
//! `component` calls it. Each [`Mend`] says what is wrong. A generator that writes something else is an error, so none
//! of them can be missing unnoticed.

/// The part of a module that a mend is for, which not every module has; what is replaced, and by what.
struct Mend(&'static str, &'static str, &'static str);

const MENDS: &[Mend] = &[
    // The host does not hear that a component gives up one of its functions, and a result that comes later is written
    // to memory that the component has freed. Now `cancel` of the promise that the function has returned is called, and
    // nothing is written; a result that is on its way is still waited for.
    Mend(
        "function _trackHostOperation",
        "fn: () => _trackHostOperation(() => ",
        "fn: () => _cancellable(subtask, () => ",
    ),
    Mend(
        "function _trackHostOperation",
        "function _trackHostOperation(operation) {",
        "function _cancellable(subtask, operation) {
  return _trackHostOperation(() => {
    const result = operation();
    if (!subtask) { return result; }
    if (typeof result?.then !== 'function') {
      subtask.hasHostResult = true;
      return result;
    }
    subtask.cancelHost = () => result.cancel?.();
    return new Promise((resolve, reject) => {
      const wanted = (settle) => (value) => {
        if (subtask.cancellationRequested()) { return; }
        subtask.hasHostResult = true;
        settle(value);
      };
      result.then(wanted(resolve), wanted(reject));
    });
  });
}

function _trackHostOperation(operation) {",
    ),
    Mend(
        "class AsyncSubtask",
        "this.#cancelRequested = true;",
        "this.#cancelRequested = true;
        if (this.hasHostResult) { return; }
        this.cancelHost?.();",
    ),
    // The host does not hear of a trap in a task that has given its response.
    Mend(
        "function _driverLoop",
        "_debugLog('[_driverLoop()] error during async driver loop', {",
        "imports['valor:host'].trap(err);
      _debugLog('[_driverLoop()] error during async driver loop', {",
    ),
    // The tasks of an instance that has ended are looked at for ever, and so is what they wait for.
    Mend(
        "waitInterval",
        "if (!this.hasPendingEvent()) { return; }",
        "if (imports['valor:host'].isOver) { clearInterval(waitInterval); }
            if (!this.hasPendingEvent()) { return; }",
    ),
    Mend(
        "class ComponentAsyncState",
        " tick() {",
        " tick() {
        if (imports['valor:host'].isOver) { return ComponentAsyncState.TickResult.DONE; }",
    ),
    // If another task is faster than the one that the lock is passed to, microtasks go round until that task is done,
    // and it never is if it waits for anything but microtasks. Its release passes the lock on anyway.
    Mend(
        "class ComponentAsyncState",
        "if (this.#lockHolderTaskID !== null) {
            this.#scheduleLockHandoff();
            return;
          }",
        "if (this.#lockHolderTaskID !== null) { return; }",
    ),
    // Tasks that wait for each other are ended as if nothing could come any more, but another request can.
    Mend(
        "function _checkForDeadlock",
        "function _checkForDeadlock() {",
        "function _checkForDeadlock() {
      return;",
    ),
    // A task that has failed is resumed without an event. Asking for one throws, and then no task is resumed any more.
    Mend(
        "class WaitableSet",
        "const resumedEvent = keepGoing",
        "const resumedEvent = keepGoing && !task.isRejected()",
    ),
    Mend(
        "class WaitableSet",
        "const readyEvent = keepGoing",
        "const readyEvent = keepGoing && !task.isRejected()",
    ),
];

/// The module of a component, with every mend.
///
/// # Errors
/// If a generator of another version wrote it.
pub fn mended(module: &str) -> Result<String, String> {
    let mut module = module.to_owned();
    for Mend(part, from, to) in MENDS {
        if module.contains(part) && !module.contains(from) {
            return Err(format!(
                "its module has a `{part}` without `{from}`: Valor mends what js-component-bindgen 2.11 writes"
            ));
        }
        module = module.replace(from, to);
    }
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_cannot_be_mended_is_refused() {
        for Mend(part, ..) in MENDS {
            let line = mended(part).unwrap_err();
            assert!(line.contains(&format!("a `{part}` without `")), "{line}");
        }
        assert_eq!(
            mended("a module without them").as_deref(),
            Ok("a module without them")
        );
        let module = "class AsyncSubtask { this.#cancelRequested = true; }";
        let module = mended(module).expect("a part as it is written");
        assert!(module.contains("this.cancelHost?.();"), "{module}");
    }
}
