//! The server that has to endure: a runtime with small vlugins, and limits so short that a run meets each of them
//! many times.

use futures_lite::AsyncReadExt;
use smol::Unblock;
use std::{error::Error, time::Duration};
use valor_runtime::{
    Request, Response, Runtime, from_fn,
    server::{Server, ServerConfig},
};

/// How long a head may take.
pub const HEAD: Duration = Duration::from_secs(5);
/// How long a body may go without progress.
pub const BODY: Duration = Duration::from_secs(10);
/// How long a connection may be idle.
pub const IDLE: Duration = Duration::from_secs(20);
/// How much longer a client may take before it counts as held for ever.
pub const SLACK: Duration = Duration::from_secs(10);

/// Prints its address, and serves until standard input ends.
///
/// # Errors
/// If it cannot serve.
pub fn serve() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::builder().build()?;
    let hello = from_fn(|_| async {
        let mut response = Response::new(200);
        response.body = "hello".into();
        Ok(response)
    });
    let echo = from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        response.body = request.body;
        Ok(response)
    });
    let sink = from_fn(|mut request: Request| async move {
        while let Some(Ok(_)) = request.body.chunk().await {}
        Ok(Response::new(204))
    });
    runtime.add("sink", sink)?;
    runtime.add("hello", hello)?;
    runtime.add("echo", echo)?;
    let config = ServerConfig {
        head_timeout: HEAD,
        body_timeout: BODY,
        idle_timeout: IDLE,
        ..ServerConfig::default()
    };
    smol::block_on(async {
        let server = Server::bind(&["127.0.0.1:0".parse()?], config).await?;
        println!("{}", server.local_addrs()[0]);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let end = async {
            let _ = Unblock::new(std::io::stdin()).read(&mut [0]).await;
        };
        server.run(runtime, threads, end).await?;
        Ok(())
    })
}
