//! Plays one conversation with one host. It fills in names, has the host make the requests, has the answers judged,
//! and keeps what later steps need.

use super::{
    hosts::{Ask, Host, Outcome},
    judge::{differences, is_like},
    suite::{Conversation, Expect, Send, Step, fill_all},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

/// How long to wait for `until` and for the log.
const PATIENCE: Duration = Duration::from_secs(20);

type Names = BTreeMap<String, String>;

/// The differences, if there are any.
pub fn play(host: &dyn Host, conversation: &Conversation, names: &Names) -> Result<(), String> {
    let mut names = names.clone();
    let unique = format!("{:016x}", fastrand::u64(..));
    names.extend([
        ("kind".into(), host.kind().into()),
        ("source".into(), host.source().into()),
        ("runs".into(), host.runs().into()),
        ("unique".into(), unique),
    ]);
    for (number, step) in conversation.steps.iter().enumerate() {
        let done = perform(host, step, &mut names);
        done.map_err(|difference| format!("step {}: {difference}", number + 1))?;
    }
    Ok(())
}

fn perform(host: &dyn Host, step: &Value, names: &mut Names) -> Result<(), String> {
    let times = step["times"].as_u64();
    let steps: Vec<Step> = match &step["together"] {
        Value::Array(steps) => steps.iter().map(|step| read(host, step, names)).collect(),
        _ => (0..times.unwrap_or(1))
            .map(|n| {
                names.insert("n".into(), n.to_string());
                read(host, step, names)
            })
            .collect(),
    };
    let begun = Instant::now();
    let logged = host.log().len();
    loop {
        let outcomes = host.ask(steps.iter().map(|step| ask(&step.send)).collect());
        let mut found = Vec::new();
        for (step, outcome) in steps.iter().zip(&outcomes) {
            found.extend(differences(outcome, &step.expect, step.send.leave));
            keep(outcome, &step.expect, names);
        }
        match &*found {
            [] => break,
            // One of a hundred failures is enough.
            [first, ..] if !steps[0].until || begun.elapsed() > PATIENCE => {
                let more = match found.len() {
                    1 => String::new(),
                    more => format!(" (and {} more)", more - 1),
                };
                // Why, if the host knows.
                let log = host.log().into_iter().skip(logged);
                let error = log.into_iter().find(|(level, _)| level == "error");
                let why = error.map_or_else(String::new, |(_, line)| format!("; the log: {line}"));
                return Err(format!("{first}{more}{why}"));
            }
            _ => thread::sleep(Duration::from_millis(10)),
        }
    }
    steps.iter().try_for_each(|step| match &step.expect.log {
        Some((level, text)) => wait_for_line(host, logged, level, text),
        None => Ok(()),
    })
}

/// A step, adapted to this host.
fn read(host: &dyn Host, step: &Value, names: &Names) -> Step {
    let mut step = step.clone();
    if let Some(step) = step.as_object_mut() {
        step.remove("times");
        let differs = step.remove("differs").unwrap_or_default();
        for of in [host.kind(), host.name()] {
            for (what, value) in differs[of].as_object().into_iter().flatten() {
                step.entry("expect").or_insert(Value::Null)[what] = value.clone();
            }
        }
    }
    fill_all(&mut step, names);
    serde_json::from_value(step.clone()).unwrap_or_else(|error| panic!("{step}: {error}"))
}

fn ask(send: &Send) -> Ask {
    let bytes = send.body.as_ref().map(|body| body.to_vec());
    Ask {
        method: send.method.clone(),
        to: send.to.clone(),
        headers: send.headers.clone(),
        body: bytes.map(|bytes| match send.pieces {
            Some(size) => bytes.chunks(size).map(<[u8]>::to_vec).collect(),
            None => vec![bytes],
        }),
        streamed: send.pieces.is_some(),
        follow: send.follow,
        leave: send.leave,
        meanwhile: send.meanwhile.as_deref().map(|send| Box::new(ask(send))),
    }
}

fn keep(outcome: &Outcome, expect: &Expect, names: &mut Names) {
    for (name, what) in &expect.keep {
        let text = || String::from_utf8_lossy(&outcome.body).into_owned();
        let value = match &**what {
            "body" => text(),
            "status" => outcome.status.clone(),
            what => match what.strip_prefix("header:") {
                Some(header) => outcome.headers.get(header).cloned().unwrap_or_default(),
                None => {
                    let json: Value = serde_json::from_str(&text()).unwrap_or_default();
                    let found = json.pointer(what).cloned().unwrap_or_default();
                    found.as_str().map_or(found.to_string(), str::to_owned)
                }
            },
        };
        names.insert(name.clone(), value);
    }
}

fn wait_for_line(host: &dyn Host, from: usize, level: &str, text: &str) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let lines = host.log().split_off(from);
        if lines
            .iter()
            .any(|(l, line)| l == level && is_like(line, text))
        {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("the log has {lines:?}, and not {level} {text}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The SHA-256 that a host reports for a vlugin's file.
pub fn sha256(host: &dyn Host, name: &str) -> String {
    let send = serde_json::json!({ "to": format!("/_plugins/{name}") });
    let send = serde_json::from_value(send).expect("a request");
    let outcome = host.ask(vec![ask(&send)]).remove(0);
    let json: Value = serde_json::from_slice(&outcome.body).unwrap_or_default();
    json["sha256"].as_str().unwrap_or("nothing").to_owned()
}
