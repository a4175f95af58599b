//! Chromium without a window: a page that sends a thousand requests.

use crate::{
    program::{REQUESTS, Serving, program, run},
    support::Folder,
};

#[test]
fn chromium() {
    let page = include_str!("browser.html").replace("REQUESTS", &REQUESTS.to_string());
    let serving = Serving::page(&page);
    let folder = Folder::new("");
    let mut chromium = program("chromium", "chromium");
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
    ]);
    chromium.args(["--no-first-run", "--disable-background-networking"]);
    chromium.args([
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
    ]);
    // The page is a file, and no vlugin sends CORS headers.
    chromium.args([
        "--disable-web-security",
        "--dump-dom",
        "--virtual-time-budget=600000",
    ]);
    chromium.arg(format!(
        "--user-data-dir={}",
        folder.path().join("profile").display()
    ));
    let dom = run(chromium.arg(serving.url("/site/")));
    assert!(
        dom.contains(&format!("{REQUESTS} of {REQUESTS}, no error")),
        "{dom}"
    );
    serving.server.wait_until(" 200 ", REQUESTS);
    serving.is_content();
}
