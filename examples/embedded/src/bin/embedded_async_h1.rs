//! A runtime behind async-h1, on smol.

use smol::net::TcpListener;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1);
    smol::block_on(async {
        let runtime = embedded::runtime().await?;
        let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080")).await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (socket, _) = listener.accept().await?;
            let runtime = runtime.clone();
            let serving = async_h1::accept(socket, move |req| {
                let runtime = runtime.clone();
                async move { Ok(runtime.handle(req).await.into()) }
            });
            // A client that goes away is no fault of the program.
            smol::spawn(async { drop(serving.await) }).detach();
        }
    })
}
