//! The conformance suite: conversations in `*.json`, played with one vlugin on every host, and judged by one judge. It
//! prints a table with a column for each host, and fails if one differs. docs/src/conformance.md says how to add a
//! conversation.
#![cfg(feature = "wasm")]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../socket/mod.rs"]
mod socket;

// What `valor_cli web` makes of a component.
#[path = "../../../valor_cli/src/web/component.rs"]
mod component;

mod chromium;
mod hosts;
mod judge;
mod play;
mod suite;
mod upstream;

use chromium::{Beside, Chromium, Made};
use hosts::{Host, Served};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    path::Path,
};
use suite::Conversation;
use valor_runtime::{Definition, Kind, definition::Instance, hex::hex};

#[test]
fn every_host_answers_alike() {
    hosts::keep_log();
    let (library, module) = fixture::conformance();
    let script = fixture::conformance_script();
    let plugins = tempfile::tempdir().expect("a folder");
    for file in [&library, &module, &script] {
        let name = file.file_name().expect("a name");
        std::fs::copy(file, plugins.path().join(name)).expect("copied");
    }
    for text in ["text.wasm", "text.js", &fixture::file_name("text")] {
        std::fs::write(plugins.path().join(text), "not a module").expect("written");
    }
    let components = tempfile::tempdir().expect("a folder");
    let component = components.path().join("conformance.wasm");
    std::fs::copy(fixture::conformance_component(), &component).expect("copied");
    let made = made_of(&component);
    let (_, modules) = &made;
    let modules: BTreeSet<_> = modules.iter().map(|(_, bytes)| sha256(bytes)).collect();
    std::fs::write(components.path().join("text.wasm"), "not a module").expect("written");
    let upstream = upstream::start();
    let names = BTreeMap::from([
        ("upstream".to_owned(), upstream.addr.clone()),
        ("nobody".to_owned(), nobody()),
    ]);

    let native = definitions("native", &names);
    let native = Served::start(Kind::Native, &parsed(&native), plugins.path());
    let wasm = definitions("wasm", &names);
    let wasmtime = Served::start(Kind::Wasm, &parsed(&wasm), plugins.path());
    let mut frozen = parsed(&wasm);
    // Each of them is compiled with its state, which takes seconds. The others only show other keys of a definition.
    for definition in &mut frozen {
        if ["conf", "hurried", "fragile"].contains(&&*definition.name) {
            definition.instance = Some(Instance::Request);
        }
    }
    let frozen = Served::named(hosts::EACH, Kind::Wasm, &frozen, plugins.path());
    let js = definitions("js", &names);
    let deno = Served::start(Kind::Js, &parsed(&js), plugins.path());
    let wasi = definitions("wasi", &names);
    let wasi_served = Served::start(Kind::Wasi, &parsed(&wasi), components.path());
    let beside = Beside {
        components: vec![made],
        ..Beside::default()
    };
    let pages = [
        Chromium::start(Kind::Wasm, &wasm, &[&module]),
        Chromium::start(Kind::Js, &js, &[&script]),
        Chromium::start_beside(Kind::Wasi, &wasi, &[], beside),
    ];

    let topics = suite::topics();
    let hosts: [&dyn Host; 8] = [
        &native,
        &wasmtime,
        &frozen,
        &pages[0],
        &deno,
        &pages[1],
        &wasi_served,
        &pages[2],
    ];
    let only = std::env::var("CONVERSATIONS").unwrap_or_default();
    let heads = hosts.iter().map(|host| format!(" {} |", host.name()));
    let mut table = format!("| conversations |{}\n", heads.collect::<String>());
    table += &format!("|---|{}\n", "---:|".repeat(hosts.len()));
    let (mut count, mut failures) = (0, Vec::new());
    for topic in &topics {
        let title = |conversation: &Conversation| format!("{}: {}", topic.topic, conversation.name);
        let all = topic.conversations.iter();
        let all: Vec<_> = all.filter(|it| title(it).contains(&only)).collect();
        count += all.len();
        let cells = hosts.iter().map(|host| {
            let played = all.iter().filter(|it| host.shares() || !it.shared);
            let played: Vec<_> = played.collect();
            let differ = played.iter().filter_map(|conversation| {
                let difference = play::play(*host, conversation, &names).err()?;
                Some(format!(
                    "{}, {}: {difference}",
                    title(conversation),
                    host.name()
                ))
            });
            let differ: Vec<_> = differ.collect();
            let alike = played.len() - differ.len();
            failures.extend(differ);
            format!(" {alike} of {} |", played.len())
        });
        table += &format!("| {} |{}\n", topic.topic, cells.collect::<String>());
    }
    println!("{table}\n{count} conversations with {} hosts", hosts.len());

    // The server and Chromium report the same hashes, so both run the same file.
    for (page, file) in pages.iter().zip([&module, &script, &component]) {
        let on_disk = sha256(&std::fs::read(file).expect("the file"));
        for host in hosts.iter().filter(|host| host.kind() == page.kind()) {
            let told = play::sha256(*host, "conf");
            println!("{} runs {told}", host.name());
            if told != on_disk {
                failures.push(format!("{} runs {told}, and not {on_disk}", host.name()));
            }
        }
        // Of a component, a page gets the modules that were made of this file.
        let wanted = match page.kind() {
            "wasi" => modules.clone(),
            _ => BTreeSet::from([on_disk]),
        };
        let served: BTreeSet<_> = page.served().into_iter().collect();
        println!("{} was sent {served:?}", page.name());
        if served != wanted {
            let name = page.name();
            failures.push(format!("{name} was sent {served:?}, and not {wanted:?}"));
        }
    }
    println!("{count} conversations with {} hosts", hosts.len());
    assert!(
        count >= 60 || !only.is_empty(),
        "only {count} conversations"
    );
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
    let page = include_str!("../../../docs/src/conformance.md").replace('\r', "");
    assert!(
        page.contains(&table) || !only.is_empty(),
        "docs/src/conformance.md has another table than this:\n{table}"
    );
}

/// The vlugins of the conversations, as plugins.json has them for this type.
fn definitions(kind: &str, names: &BTreeMap<String, String>) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/plugins.json");
    let text = std::fs::read_to_string(file).expect("plugins.json");
    let mut plugins: Value = serde_json::from_str(&text).expect("JSON");
    let mut names = names.clone();
    names.insert("kind".into(), kind.into());
    suite::fill_all(&mut plugins, &names);
    plugins
}

fn parsed(plugins: &Value) -> Vec<Definition> {
    let plugins = plugins["plugins"].as_array().expect("an array");
    let definition =
        |value: &Value| Definition::from_json(&value.to_string()).expect("a definition");
    plugins.iter().map(definition).collect()
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    listener.local_addr().expect("an address").to_string()
}

/// What `valor_cli web` makes of a component, where a definition's bare `path` finds it.
fn made_of(file: &Path) -> Made {
    let bytes = std::fs::read(file).expect("the component");
    let modules = component::modules(&bytes).expect("modules of the component");
    modules.placed("vlugins/conformance", &sha256(&bytes))
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
