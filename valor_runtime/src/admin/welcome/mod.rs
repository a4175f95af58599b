//! `/_welcome`, the page for people, which is also at `/` if nothing is mounted there: what is mounted where, its state
//! and its requests, the last lines of the log, and a form that sends a request.
//!
//! | request | answer |
//! |---|---|
//! | `GET /_welcome` | 200, the page: one file, which a Content-Security-Policy holds to its own script and style |
//! | `GET /_welcome/events` | 200, `text/event-stream`; 503 if many are open |
//!
//! Whoever may use `/_plugins` may see it; without `/_plugins`, those on this machine. It changes nothing.

mod events;
mod lines;
mod shown;

pub use shown::Welcome;

use super::{RegistryAccess, method_not_allowed};
use crate::{Body, Request, RequestHead, Response, Vlugin, from_fn};
use base64::{Engine, engine::general_purpose::STANDARD};
use events::{Events, State};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shown::Shared;
use std::sync::{Arc, LazyLock};

const PAGE: &str = include_str!("page.html");

/// The vlugin on `/_welcome`; `state` asks the runtime what there is to show.
pub fn welcome(access: RegistryAccess, welcome: Welcome, state: Arc<State>) -> Arc<dyn Vlugin> {
    let (access, shared) = (Arc::new(access), welcome.0);
    from_fn(move |request| {
        let answer = answer(&access, &shared, &state, &request);
        async { Ok(answer.unwrap_or_else(|refusal| refusal)) }
    })
}

/// Whether a request for something that is not mounted gets the page: one for `/` that a browser shows to somebody who
/// may see it. Everybody else gets the answer that there would be without the page: a browser is asked for a token at
/// `/_welcome` only.
pub fn is_for_page(access: &RegistryAccess, head: &RequestHead) -> bool {
    let accepts = head.header_str("accept").unwrap_or_default();
    let mut types = accepts.split(',').map(|it| it.split(';').next());
    head.path() == "/"
        && matches!(head.method(), "GET" | "HEAD")
        && types.any(|it| it.is_some_and(|it| it.trim().eq_ignore_ascii_case("text/html")))
        && access.check_page(head).is_ok()
}

fn answer(
    access: &RegistryAccess,
    shared: &Arc<Shared>,
    state: &Arc<State>,
    request: &Request,
) -> Result<Response, Response> {
    let head = &request.head;
    access.check_page(head)?;
    if !matches!(head.method(), "GET" | "HEAD") {
        return Err(method_not_allowed("GET, HEAD"));
    }
    let mut response = match head.path() {
        "/" => page(),
        "/events" => stream(shared, state, head)?,
        path => {
            let line = format!("there is no /_welcome{path}: /_welcome and /_welcome/events");
            return Err(Response::problem(404, &line));
        }
    };
    for (name, value) in [
        ("cache-control", "no-store"),
        ("vary", "accept"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
    ] {
        let _ = response.head.push(name, value.as_bytes());
    }
    Ok(response)
}

fn page() -> Response {
    let mut response = Response::new(200);
    let head = &mut response.head;
    let _ = head.push("content-type", b"text/html; charset=utf-8");
    let _ = head.push("content-security-policy", POLICY.as_bytes());
    response.body = Body::from(PAGE);
    response
}

/// Nothing but the page's own script and style runs, it speaks with nothing but its server, and no page frames it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (style, script) = (
        hash("<style>", "</style>"),
        hash("<script type=\"module\">", "</script>"),
    );
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The source expression (CSP3, section 2.3.1) for what is between these two in the page.
fn hash(begin: &str, end: &str) -> String {
    let text = PAGE
        .split_once(begin)
        .and_then(|(_, rest)| rest.split_once(end));
    let (text, _) = text.expect("the page has one of each");
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn stream(
    shared: &Arc<Shared>,
    state: &Arc<State>,
    head: &RequestHead,
) -> Result<Response, Response> {
    // Another site's page could not read the events, but it could take all the streams.
    let site = head.header_str("sec-fetch-site");
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        let line = "/_welcome/events is not for the pages of other sites";
        return Err(Response::problem(403, line));
    }
    let Some(events) = Events::begin(shared, state) else {
        let mut refusal = Response::problem(503, "too many welcome pages are open: close one");
        let _ = refusal.head.push("retry-after", b"1");
        return Err(refusal);
    };
    let mut response = Response::new(200);
    let _ = response.head.push("content-type", b"text/event-stream");
    if head.method() == "GET" {
        response.body = Body::stream(None, events);
    }
    Ok(response)
}

/// What the page shows of one vlugin, out of what `/_plugins` and `/_metrics` show of it.
pub fn shown(described: &Value, requests: u64, errors: u64) -> Value {
    const KEYS: [&str; 7] = [
        "name", "type", "prefix", "version", "state", "reason", "running",
    ];
    let mut shown: serde_json::Map<_, _> = KEYS
        .iter()
        .map(|key| ((*key).to_owned(), described[*key].clone()))
        .collect();
    shown.insert("requests".into(), requests.into());
    shown.insert("errors".into(), errors.into());
    shown.into()
}
