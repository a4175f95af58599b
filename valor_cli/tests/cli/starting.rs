//! [`started`]: every program that a test starts is started here, the one that is tested and the tools around it. A
//! program that cannot be started fails the test.

use std::{io, process::Command, thread, time::Duration};

/// What Windows calls ERROR_INTERNAL_ERROR, and no system that is not Windows has.
const INTERNAL_ERROR: i32 = 1359;
/// How often a start is tried that fails with it.
const TRIES: usize = 5;

/// Starts a program; `start` is `Command::spawn`, `status` or `output`.
///
/// Under Wine a start fails now and then with ERROR_INTERNAL_ERROR: its client loses a socket to a thread that starts
/// or ends at the same time ("wine client error: sendmsg: Bad file descriptor"). No program runs then, so it is tried
/// again. A lock around starts would not help: on Windows std has one, and other threads take no part in it. How a
/// program ends that has started is the caller's to judge.
#[track_caller]
pub fn started<T>(command: &mut Command, start: impl Fn(&mut Command) -> io::Result<T>) -> T {
    let mut tries = 1;
    loop {
        match start(command) {
            Ok(it) => return it,
            Err(error) if error.raw_os_error() == Some(INTERNAL_ERROR) && tries < TRIES => {
                tries += 1;
                thread::sleep(Duration::from_millis(100));
            }
            Err(error) => panic!("{command:?} cannot be started: {error}"),
        }
    }
}

#[test]
fn a_start_that_fails_in_wine_is_tried_again_and_no_other() {
    let tried = |code: i32, times: usize| {
        let left = std::cell::Cell::new(times);
        let start = |_: &mut Command| match left.get() {
            0 => Ok(()),
            more => {
                left.set(more - 1);
                Err(io::Error::from_raw_os_error(code))
            }
        };
        let start = || started(&mut Command::new("it"), start);
        (
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(start)).is_ok(),
            times - left.get(),
        )
    };
    assert_eq!(tried(INTERNAL_ERROR, TRIES - 1), (true, TRIES - 1));
    assert_eq!(tried(INTERNAL_ERROR, 2 * TRIES), (false, TRIES));
    // ENOENT, and ERROR_FILE_NOT_FOUND.
    assert_eq!(tried(2, 1), (false, 1));
}
