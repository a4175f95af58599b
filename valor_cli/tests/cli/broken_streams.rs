//! Responses that break off, for each kind of vlugin: the client notices, and the log has one line about it.

use crate::{
    scripting::deno,
    support::{Folder, Server, misbehaving},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Large enough not to be read ahead of its client.
const LARGE: u64 = 64 << 20;

const SCRIPT: &str = "
export default {
  fetch() {
    const bytes = new TextEncoder().encode('begun');
    let count = 0;
    return new Response(new ReadableStream({
      async pull(control) {
        if (count++ === 0) return control.enqueue(bytes);
        await new Promise((done) => setTimeout(done, 50));
        throw new Error('thrown in the stream');
      },
    }));
  },
};";

/// Sends a request, does something when the response has begun, and reads to the end of the connection.
fn ask(server: &Server, target: &str, meanwhile: impl FnOnce()) -> Vec<u8> {
    let mut stream = TcpStream::connect(&server.addrs[0]).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = vec![0; 1];
    stream.read_exact(&mut answer).unwrap();
    meanwhile();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn a_response_that_breaks_off_is_one_line_in_the_log() {
    let folder = Folder::new(
        r#"{ "plugins": [
            { "type": "native", "name": "library", "path": "it.lib" },
            { "type": "js", "name": "script", "path": "script.js" },
            { "type": "files", "name": "folder", "path": "folder" }
        ] }"#,
    );
    folder.write("it.lib", std::fs::read(misbehaving()).unwrap());
    folder.write("script.js", SCRIPT);
    folder.write("folder/large", "");
    let large = std::fs::File::options()
        .write(true)
        .open(folder.path().join("folder/large"));
    let large = large.unwrap();
    let mut command = folder.run();
    command.arg("--deno").arg(deno());
    let server = Server::spawn(command);
    for (target, name, why) in [
        ("/library/stream-fails", "library", "no more"),
        ("/library/stream-panics", "library", "panicked"),
        ("/script", "script", "broke off"),
        ("/folder/large", "folder", "while it was sent"),
    ] {
        large.set_len(LARGE).unwrap();
        let before = server.err().lines().count();
        let answer = ask(&server, target, || large.set_len(LARGE / 2).unwrap());
        assert!(
            !answer.ends_with(b"\r\n0\r\n\r\n") && (answer.len() as u64) < LARGE,
            "{target}"
        );
        // The line of the access log comes after all others.
        server.wait_until(&format!("GET {target} "), 1);
        let err = server.err();
        let errors = err.lines().skip(before).filter(|it| it.contains(" ERROR "));
        // The place of a panic is in a line that the library itself has written.
        let errors: Vec<_> = errors
            .filter(|it| !it.ends_with("module=valor::panic"))
            .collect();
        assert_eq!(errors.len(), 1, "{target}: {errors:#?}");
        for part in [&format!("`{name}`"), why] {
            assert!(errors[0].contains(part), "{target}: {errors:#?}");
        }
    }
}
