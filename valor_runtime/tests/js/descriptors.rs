//! What a script can do with descriptors. Deno opens any descriptor of its process by number, whatever its permissions
//! are.

use crate::{House, ends::until, keep_log, logged};
use serde_json::json;
use smol::block_on;
use std::{
    fs,
    io::Read,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

const OPENS: &str = r#"
import net from "node:net";
const kept = [];
const written = (fd, text) => new Promise((resolve) => {
  try {
    const it = new net.Socket({ fd, readable: false, writable: true });
    kept.push(it);
    it.on("error", () => resolve("failed"));
    it.write(text, (error) => resolve(error ? "failed" : "written"));
  } catch {
    resolve("failed");
  }
});
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const fds = (searchParams.get("fds") ?? "").split(",").map(Number);
    switch (pathname) {
      case "/writes":
        return Response.json(await Promise.all(fds.map((fd) => written(fd, searchParams.get("text") + "\n"))));
      case "/reads":
        for (const fd of fds) {
          const it = new net.Socket({ fd, readable: true, writable: false });
          kept.push(it);
          it.on("data", (data) => console.log("read " + data));
          it.on("error", () => {});
        }
        return new Response("reads");
      case "/pid":
        return new Response(String(Deno.pid));
    }
  },
};"#;

#[test]
fn what_valor_has_inherited_does_not_reach_a_script() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // No script's process has this number by itself.
    let theirs: OwnedFd = rustix::io::fcntl_dupfd_cloexec(&theirs, 300).unwrap();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let fd = theirs.as_raw_fd();
    let house = House::new(&[("opens.js", OPENS)]);
    block_on(async {
        house.load(json!({ "name": "opens" })).await.unwrap();
        let target = format!("/opens/writes?fds={fd}&text=out");
        assert_eq!(house.get(&target).await, (200, "[\"failed\"]".into()));
    });
    ours.set_nonblocking(true).unwrap();
    let error = (&ours).read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    // The program's own descriptors are unchanged.
    let flags = rustix::io::fcntl_getfd(&theirs).unwrap();
    assert!(flags.is_empty());
}

/// The sockets that a process has connected somewhere. Its end of the control link is among them.
fn connected(pid: &str) -> String {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let fds = fds.filter_map(|it| {
        let path = it.ok()?.path();
        let fd = path.file_name()?.to_str()?.to_owned();
        let link = fs::read_link(&path).ok()?;
        let inode = link
            .to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?
            .to_owned();
        // A socket that was bound has a path behind its inode. So has one that a bound socket accepted.
        let is_unnamed = table
            .lines()
            .any(|line| line.split_ascii_whitespace().skip(6).eq([&*inode]));
        is_unnamed.then_some(fd)
    });
    fds.collect::<Vec<_>>().join(",")
}

#[test]
fn what_a_script_writes_on_the_control_link_ends_its_process() {
    keep_log();
    let house = House::new(&[("opens.js", OPENS)]);
    block_on(async {
        house
            .load(json!({ "name": "forges", "path": "opens.js" }))
            .await
            .unwrap();
        let pid = house.get("/forges/pid").await.1;
        let fds = connected(&pid);
        let forged = "%7B%22event%22:%22stopped%22,%22slot%22:0%7D";
        house
            .get(&format!("/forges/writes?fds={fds}&text={forged}"))
            .await;
        logged(&["ERROR forges : the vlugin `forges` ended: its control link broke off: "]);
        until("it runs in a fresh process", async || {
            let (status, now) = house.get("/forges/pid").await;
            status == 200 && now != pid
        })
        .await;
    });
}

#[test]
fn what_a_script_reads_from_the_control_link_says_nothing() {
    keep_log();
    let house = House::new(&[
        ("opens.js", OPENS),
        (
            "other.js",
            "export default { fetch: () => new Response('other') }",
        ),
    ]);
    block_on(async {
        let reads = json!({ "name": "reads", "path": "opens.js", "group": "g" });
        house.load(reads).await.unwrap();
        let pid = house.get("/reads/pid").await.1;
        let fds = connected(&pid);
        assert_eq!(
            house.get(&format!("/reads/reads?fds={fds}")).await.1,
            "reads"
        );
        // A script that reads from it takes the supervisor's messages, and that costs the process its life.
        for round in 0..8 {
            let other = json!({ "name": format!("o{round}"), "path": "other.js", "group": "g", "config": "hunter2" });
            let loading = house.load(other);
            let late = async {
                smol::Timer::after(std::time::Duration::from_secs(2)).await;
                Ok(())
            };
            let _ = futures_lite::future::or(loading, late).await;
        }
        let lines = crate::LINES.lock().unwrap();
        let told = lines.iter().find(|line| line.contains("hunter2"));
        assert_eq!(told, None);
    });
}
