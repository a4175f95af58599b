//! Common clients, each with a thousand requests to the program itself with real libraries: none may see an error. If a
//! client is not installed, the test fails and names its Debian package; `.ci/tools` installs them all. (They are for
//! Unix; Windows has no such packages.)

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
