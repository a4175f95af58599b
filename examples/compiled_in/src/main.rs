//! Serves vlugins that are linked into the program, without a library file or a plugins.json.

use serde_json::Value;
use std::{error::Error, future::pending, sync::Arc};
use valor_runtime::{
    Runtime, RuntimeError,
    server::{Server, ServerConfig},
};

fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1);
    let addr = addr.as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    smol::block_on(async {
        let runtime = runtime().await?;
        let server = Server::bind(&[addr], ServerConfig::default()).await?;
        println!("listening on {addr}", addr = server.local_addrs()[0]);
        server.run(runtime, 2, pending()).await?;
        Ok(())
    })
}

async fn runtime() -> Result<Arc<Runtime>, RuntimeError> {
    let runtime = Runtime::builder().build()?;
    for (name, vlugin, config) in [
        ("hello_plugin", hello_plugin::VLUGIN, Value::Null),
        ("hello_alice", with_state::VLUGIN, "Alice".into()),
        ("hello_bob", with_state::VLUGIN, "Bob".into()),
    ] {
        runtime.add_entry(name, vlugin, config).await?;
    }
    runtime.set_ready(true);
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::{
        future,
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };
    use valor_runtime::{http, server::Listen};

    #[test]
    fn answers_without_a_socket() {
        smol::block_on(async {
            let runtime = runtime().await.unwrap();
            for (url, answer) in [
                ("http://localhost/hello_plugin", "OK response from a plugin"),
                (
                    "http://localhost/hello_alice?who=Zoe",
                    "Alice says hello Zoe!",
                ),
                ("http://localhost/hello_bob?who=Zoe", "Bob says hello Zoe!"),
            ] {
                let mut res = runtime.handle(http::Request::get(url)).await;
                assert_eq!(res.body_string().await.unwrap(), answer);
            }
        });
    }

    #[test]
    fn answers_over_a_socket() {
        let local = Listen::Tcp(([127, 0, 0, 1], 0).into());
        let response = smol::block_on(async {
            let runtime = runtime().await.unwrap();
            let server = Server::bind(&[local], ServerConfig::default())
                .await
                .unwrap();
            let addr = server.local_addrs()[0].to_string();
            let serving = async {
                server.run(runtime, 1, pending()).await.unwrap();
                unreachable!("nobody stops it")
            };
            let asking = async {
                let mut socket = TcpStream::connect(addr).await.unwrap();
                let request =
                    b"GET /hello_alice?who=Zoe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                socket.write_all(request).await.unwrap();
                let mut response = String::new();
                socket.read_to_string(&mut response).await.unwrap();
                response
            };
            future::or(asking, serving).await
        });
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(
            response.ends_with("\r\n\r\nAlice says hello Zoe!"),
            "{response}"
        );
    }
}
