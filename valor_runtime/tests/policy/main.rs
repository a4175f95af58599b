//! The policy, row by row: what comes in, and what goes out. The rows are those of `docs/src/http.md`, one test each.
//! They are played over a real socket against a real runtime: sent whole, byte by byte, and in random segments.
//!
//! - `play`: conversations, and the three ways to send them; `house`: the vlugins that answer.
//! - `heads`, `bodies`, `responses`: the rows that are conversations.
//! - `clients`: slow ones, many, and those that leave; `memory`: how much all of them cost.

mod bodies;
mod clients;
#[path = "../server/harness.rs"]
mod harness;
mod heads;
mod house;
mod memory;
mod play;
mod responses;

use clients::{SHORT, impatient};
use house::{house, nearly_empty};
use play::{Case, every_case};
use valor_runtime::server::ServerConfig;

fn plays(cases: &[Case]) {
    plays_with(ServerConfig::default(), cases);
}

fn plays_with(config: ServerConfig, cases: &[Case]) {
    let thread = std::thread::current();
    every_case(thread.name().unwrap_or_default(), house(), config, cases);
}

macro_rules! rows {
    ($($name:ident $body:block)*) => {
        const ROWS: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() $body)*
    };
}

rows! {
    r01_malformed_heads {
        plays(&heads::malformed());
    }
    r02_header_values_beyond_ascii {
        plays(&heads::values_beyond_ascii());
    }
    r03_no_host_or_two_or_none_that_is_valid {
        plays(&heads::hosts());
    }
    r04_a_host_that_is_more_than_a_host {
        plays(&heads::more_than_a_host());
    }
    r05_http_1_0 {
        plays(&heads::version_1_0());
    }
    r06_other_versions {
        plays(&heads::other_versions());
    }
    r07_unknown_methods {
        plays(&heads::methods());
    }
    r08_empty_lines_in_front {
        plays(&heads::empty_lines());
    }
    r09_bare_line_feeds {
        plays(&heads::bare_line_feeds());
    }
    r10_absolute_targets {
        plays(&heads::absolute_targets());
    }
    r11_options_of_the_server_and_connect {
        plays(&heads::about_the_server());
    }
    r12_dot_segments_and_double_slashes {
        plays(&heads::dots());
    }
    r13_large_heads {
        plays(&heads::large_heads());
        let config = ServerConfig { max_head: 300, max_headers: 50, max_target: 20, ..ServerConfig::default() };
        plays_with(config, &heads::large_heads_where_limits_are_set());
        memory::of_heads_without_end();
    }
    r14_long_targets {
        plays(&heads::long_targets());
    }
    r15_slow_heads_and_idle_connections {
        plays_with(impatient(), &clients::slow_heads());
        let config = ServerConfig { idle_timeout: 3 * SHORT, ..ServerConfig::default() };
        plays_with(config, &clients::idle());
        clients::drip_a_head();
    }
    r16_slow_bodies {
        plays_with(impatient(), &clients::slow_bodies());
        clients::drip_a_body();
    }
    r17_bodies_over_the_limit {
        plays(&bodies::over_the_limit());
        memory::of_a_body_over_the_limit();
    }
    r18_lengths_that_are_not_one {
        plays(&bodies::lengths());
    }
    r19_other_transfer_encodings {
        plays(&bodies::codings());
    }
    r20_chunks {
        plays(&bodies::chunks());
    }
    r21_bodies_that_break_off {
        plays(&bodies::broken_off());
        clients::a_body_that_breaks_off_is_an_error_for_the_vlugin();
    }
    r22_pipelined_requests {
        plays(&bodies::pipelined());
    }
    r23_bodies_that_nobody_reads {
        plays(&bodies::not_read());
        memory::of_a_body_that_nobody_reads();
    }
    r24_expectations {
        plays(&bodies::expectations());
    }
    r25_keep_alive_and_close {
        plays(&heads::connection_options());
    }
    r26_head {
        plays(&responses::to_head());
        responses::the_same_headers();
    }
    r27_clients_that_go_away {
        clients::go_away();
    }
    r28_set_cookie_twice {
        plays(&responses::cookies());
    }
    r29_a_vlugins_line_breaks {
        let log = house::log();
        plays(&responses::split_responses());
        for name in ["answers", "handler"] {
            assert!(log.lock().unwrap().iter().any(|line| line.contains(name)), "{log:?}");
        }
    }
    r30_a_vlugins_values_beyond_ascii {
        plays(&responses::values_beyond_ascii());
    }
    r31_a_vlugins_own_framing {
        plays(&responses::framing());
    }
    r32_a_vlugins_bodies_where_none_may_be {
        plays(&responses::no_body());
    }
    r33_a_vlugins_interim_response {
        let log = house::log();
        plays(&responses::interim());
        assert!(log.lock().unwrap().iter().any(|line| line.contains("`answers` failed")), "{log:?}");
    }
    r34_a_vlugins_stream_that_breaks_off {
        plays(&responses::broken_streams());
    }
    r35_a_vlugin_that_fails {
        plays(&responses::faults());
    }
    r36_no_vlugin_for_the_path {
        every_case("r36", nearly_empty(), ServerConfig::default(), &responses::nowhere());
    }
    r37_connections_over_the_limit {
        clients::over_the_limit();
        memory::of_connections_over_the_limit();
    }
    r38_the_end {
        clients::see_the_end();
    }
}

#[test]
fn the_rows_are_those_of_the_book() {
    assert_eq!(ROWS.len(), 38);
    let page = include_str!("../../../docs/src/http.md");
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .filter(|(number, _)| number.parse::<u8>().is_ok())
        .collect();
    assert_eq!(rows.len(), ROWS.len());
    for ((number, what), row) in rows.iter().zip(ROWS) {
        let number: u8 = number.parse().unwrap();
        assert!(row.starts_with(&format!("r{number:02}_")), "{row}: {what}");
    }
}
