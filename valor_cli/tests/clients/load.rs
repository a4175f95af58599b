//! wrk and ab, which send requests as fast as they can.

use crate::program::{REQUESTS, Serving, program, run};

/// The number after this word in a line of a report.
fn number(report: &str, what: &str) -> Option<usize> {
    let rest = report
        .lines()
        .find_map(|line| line.trim().strip_prefix(what))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[test]
fn wrk() {
    let serving = Serving::with(&["--no-access-log"], &[]);
    let mut sent = 0;
    while sent < REQUESTS {
        let mut wrk = program("wrk", "wrk");
        wrk.args([
            "--threads",
            "1",
            "--connections",
            "32",
            "--duration",
            "1s",
            "--timeout",
            "60s",
        ]);
        let report = run(wrk.arg(serving.url("/hello")));
        assert!(!report.contains("Socket errors"), "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
        let line = report.lines().find(|line| line.contains(" requests in "));
        sent += line.and_then(|line| number(line, "")).expect(&report);
    }
    serving.is_content();
}

#[test]
fn ab_with_keep_alive_and_without() {
    let serving = Serving::with(&["--no-access-log"], &[]);
    let requests = REQUESTS.to_string();
    for keep_alive in [true, false] {
        let mut ab = program("ab", "apache2-utils");
        ab.args(["-q", "-n", &requests, "-c", "16", "-s", "60"]);
        if keep_alive {
            ab.arg("-k");
        }
        let report = run(ab.arg(serving.url("/hello")));
        assert_eq!(
            number(&report, "Complete requests:"),
            Some(REQUESTS),
            "{report}"
        );
        assert_eq!(number(&report, "Failed requests:"), Some(0), "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
        let kept = number(&report, "Keep-Alive requests:");
        assert_eq!(kept, keep_alive.then_some(REQUESTS), "{report}");
    }
    serving.is_content();
}
