//! The transport that Windows uses, to which any program on the machine can connect. The tests of the other modules
//! run again over it, and more tests show what a stranger gets who finds the ports.

use crate::{House, OVER_TCP, ends::until};
use serde_json::json;
use smol::block_on;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
};

/// Runs a test with its thread's houses over TCP.
fn over_tcp(test: impl FnOnce()) {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            OVER_TCP.set(false);
        }
    }
    let _back = Back;
    OVER_TCP.set(true);
    test();
}

macro_rules! again {
    ($($module:ident::$test:ident,)*) => {$(
        #[test]
        fn $test() {
            over_tcp(crate::$module::$test);
        }
    )*};
}

again! {
    confined::a_script_that_breaks_out_gets_nowhere,
    ends::a_loop_ends_its_script_and_nobody_else,
    ends::killed_and_out_of_memory_are_502_and_then_a_fresh_process,
    ends::a_lazy_one_is_started_by_a_request_and_stopped_again,
    ends::a_group_shares_a_process_and_its_end,
    ends::a_vlugin_that_is_taken_out_finishes_and_its_process_ends,
    link::heads_of_every_size_cross,
    link::a_script_that_breaks_its_link_is_ended_and_started_again,
    link::a_loop_ends_whatever_a_script_says_of_itself,
    link::what_a_script_changes_does_not_bring_it_the_link,
    loading::what_is_no_script_is_not_loaded,
    outbound::a_script_fetches_and_calls,
    requests::both_forms_answer,
    requests::a_body_is_asked_for_when_a_script_first_reads_it,
    requests::the_clients_address_is_known,
    requests::a_script_sees_the_request_as_it_is,
    requests::a_requests_url_is_what_a_browser_would_say,
    responses::what_a_script_answers_arrives,
    responses::bodies_stream_both_ways_and_end_with_the_client,
}

/// The ports that a process listens on.
pub(crate) fn ports_of(pid: &str) -> Vec<u16> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|it| fs::read_link(it.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let rows = table.lines().skip(1).filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let is_its = sockets.contains(&format!("socket:[{}]", fields[9]));
        // The state of a listening socket.
        let listens = is_its && fields[3] == "0A";
        let port = fields[1].rsplit(':').next()?;
        listens.then(|| u16::from_str_radix(port, 16).unwrap())
    });
    rows.collect()
}

const COUNTER: &str = "
let count = 0;
export default {
  fetch(request) {
    count++;
    return new Response(request.url.endsWith('/pid') ? String(Deno.pid) : String(count));
  },
};";

#[test]
fn a_stranger_is_refused_by_a_script() {
    over_tcp(|| {
        let house = House::new(&[("counter.js", COUNTER)]);
        block_on(async {
            house.load(json!({ "name": "counter" })).await.unwrap();
            let pid = house.get("/counter/pid").await.1;
            let ports = ports_of(&pid);
            assert_eq!(ports.len(), 1, "{ports:?}");
            let guess = "0123456789abcdef0123456789abcdef";
            for line in [
                "GET / HTTP/1.1".to_owned(),
                format!("GET /{guess}~/ HTTP/1.1"),
                format!("GET /{guess}/ HTTP/1.1"),
                format!("POST /{guess}!poll HTTP/1.1"),
                format!("POST http://{guess}/~/{guess}!result HTTP/1.1"),
                "GET /~/ HTTP/1.1".to_owned(),
                "GET /!poll HTTP/1.0".to_owned(),
                "OPTIONS * HTTP/1.1".to_owned(),
                "CONNECT a:1 HTTP/1.1".to_owned(),
            ] {
                let mut stream = TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
                let request = format!(
                    "{line}\r\nhost: a\r\nx-valor-head: [1,200,[]]\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert!(answer.contains(" 403 Forbidden\r\n"), "{line}: {answer}");
                assert!(!answer.contains("x-valor"), "{line}: {answer}");
            }
            assert_eq!(house.get("/counter").await, (200, "2".into()));
        });
    });
}

/// A Deno that comes late: strangers connect to Valor first. One says nothing, one sends a wrong secret, and both
/// should be disconnected. Then the right one comes.
const LATE: &str = r#"#!/bin/bash
[ "$1" = eval ] && { "$DENO" "$@" | head -n 1; echo "$0"; exit; }
[ "$1" = info ] && exec "$DENO" "$@"
set -e
tr '\0' '\n' </proc/$$/environ >"$HERE/environment"
printf '%s\n' "$@" >"$HERE/arguments"
port=${@: -2:1}
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port"
printf '0123456789abcdef0123456789abcdef\n{"event":"died","slot":0}\n' >&4
read -r -t 10 line <&4 && exit 7
echo "$?" >"$HERE/sent-away"
exec "$DENO" "$@"
"#;

#[test]
fn a_stranger_is_not_taken_for_the_process() {
    over_tcp(|| {
        let deno = crate::fixture::js_tool("deno");
        let house = House::with(&[("counter.js", COUNTER), ("late", "")], |builder| builder);
        let here = house.dir.path().to_owned();
        let late = LATE
            .replace("$DENO", deno.to_str().unwrap())
            .replace("$HERE", here.to_str().unwrap());
        let program = here.join("late");
        fs::write(&program, late).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let builder = valor_runtime::Runtime::builder().base_dir(&here);
        let builder = builder.deno(&program).scripts_over_tcp();
        let house = House {
            runtime: builder.build().unwrap(),
            dir: house.dir,
        };
        block_on(async {
            house.load(json!({ "name": "counter" })).await.unwrap();
            assert_eq!(house.get("/counter").await, (200, "1".into()));
        });
        let said = |name: &str| fs::read_to_string(here.join(name)).unwrap();
        // The connection ended before the time did.
        assert_eq!(said("sent-away"), "1\n");
        // Nothing that every program on the machine may read contains the secret.
        for text in [said("environment"), said("arguments")] {
            let is_secret =
                |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let found = text
                .split(|c: char| !c.is_ascii_alphanumeric())
                .find(|word| is_secret(word));
            assert_eq!(found, None, "{text}");
        }
        let arguments = said("arguments");
        let port = arguments.lines().rev().nth(1).unwrap().parse().unwrap();
        block_on(until("nobody is waited for any more", async || {
            !ports_of("self").contains(&port)
        }));
    });
}
