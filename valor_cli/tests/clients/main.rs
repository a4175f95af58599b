//! Clients that people have, each with a thousand requests, at the program itself with real
//! libraries: none may see an error. A client that is not installed is a failure that says which
//! Debian package has it; `.ci/tools` installs them all. (They are Unix's; Windows has no packages
//! to name.)

#![cfg(unix)]

mod browser;
mod end;
mod load;
mod nginx;
mod program;
mod python;
#[allow(dead_code)] // It has more than these tests need.
#[path = "../cli/support.rs"]
mod support;
mod uploads;
