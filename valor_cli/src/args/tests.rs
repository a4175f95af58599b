//! The command line: that it is sound, and what its words mean.

use super::{values::log_filter, *};
use clap::CommandFactory;

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn sizes_and_times() {
    assert_eq!(bytes("1"), Ok(1));
    assert_eq!(bytes("64 KiB"), Ok(65_536));
    assert_eq!(bytes("10MiB"), Ok(10 << 20));
    assert_eq!(bytes("1TiB"), Ok(1 << 40));
    for wrong in [
        "",
        "0",
        "-1",
        "MiB",
        "10MB",
        "2TiB",
        "1.5KiB",
        "18446744073709551615GiB",
    ] {
        assert!(bytes(wrong).is_err(), "{wrong}");
    }
    assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
    assert_eq!(seconds("30s"), Ok(Duration::from_secs(30)));
    for wrong in ["", "0", "-1", "NaN", "inf", "1m", "86401"] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_to_log() {
    for right in ["info", "OFF", "warn,vlugin::hello=debug,valor::access=info"] {
        assert!(log_filter(right).is_ok(), "{right}");
    }
    for (wrong, part) in [
        ("loud", "`loud` is not a level; write off,"),
        ("wran", "did you mean `warn`?"),
        ("", "`` is not a level"),
        ("info,hyper", "`hyper` is not a level"),
        ("hyper=", "`` is not a level"),
        ("=info", "a target comes before `=`"),
        ("info/GET", "`info/GET` is not a level"),
    ] {
        let message = log_filter(wrong).unwrap_err();
        assert!(message.contains(part), "{wrong}: {message}");
    }
}

#[test]
fn options_that_need_each_other() {
    let parsed = |args: &[&str]| Cli::try_parse_from(["valor_cli"].iter().chain(args)).is_ok();
    assert!(parsed(&["run", "-p", "x"]));
    assert!(parsed(&["run", "-w"]));
    assert!(parsed(&["run"]));
    assert!(!parsed(&["run", "-p", "x", "--registry-token-file", "y"]));
    assert!(parsed(&["run", "-p", "x", "--release"]));
    assert!(!parsed(&["run", "-p", "x", "--workers", "0"]));
    assert!(parsed(&[
        "run",
        "-p",
        "x",
        "--tls-cert",
        "y",
        "--tls-key",
        "z"
    ]));
    assert!(!parsed(&["run", "-p", "x", "--tls-cert", "y"]));
    assert!(!parsed(&["run", "-p", "x", "--tls-key", "z"]));
}

#[test]
fn the_default_limits_are_those_of_the_library() {
    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        limits: LimitArgs,
    }
    let (said, none) = (
        <Alone as clap::Parser>::parse_from(["valor_cli"])
            .limits
            .limits(),
        Limits::default(),
    );
    assert_eq!(said.timeout(), none.timeout());
    assert_eq!(said.body(), none.body());
    assert_eq!(said.concurrency(), none.concurrency());
    assert_eq!(said.memory(), none.memory());
    assert_eq!(said.cpu(), none.cpu());
}
