//! Both sides of the boundary in one program: a panic on one side is an error on the other. A panic that crossed would
//! end the process, and with it this test.

use super::{
    export,
    import::Foreign,
    types::{FfiHost, FfiResult},
};
use futures_lite::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt,
    future::{self, block_on},
    stream,
};
use serde_json::Value;
use std::{
    cell::RefCell,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::{Duration, SystemTime},
};
use valor::{Context, Entry, Vlugin, http};
use valor_abi_wire::{
    Body, BoxFuture, Bytes, Chunk, Fault, FaultKind, Host, Instance, LogRecord, Request, Response,
};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb was dropped");
    }
}

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        b"bytes with a bomb"
    }
}

/// Panics when it is shown.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("an error without words");
    }
}

impl std::error::Error for Unspeakable {}

/// A future that panics when it is polled, and when it is dropped before that.
///
/// (A destructor that panics while a panic unwinds ends the process, by the rules of Rust.)
struct Trouble(Option<Bomb>);

impl Future for Trouble {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<()> {
        std::mem::forget(self.0.take());
        panic!("polled for trouble");
    }
}

/// A host all of whose functions panic.
struct PanickingHost;

impl Host for PanickingHost {
    fn name(&self) -> &str {
        panic!("no name");
    }

    fn log(&self, _: &LogRecord<'_>) {
        panic!("no log");
    }

    fn max_level(&self) -> log::LevelFilter {
        panic!("no level");
    }

    fn fetch(&self, _: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        panic!("no fetch");
    }

    fn call(&self, _: &str, _: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let trouble = Trouble(Some(Bomb));
        Box::pin(async {
            trouble.await;
            Ok(Response::new(200))
        })
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Trouble(Some(Bomb)))
    }

    fn now(&self) -> SystemTime {
        panic!("no clock");
    }

    fn random(&self, _: &mut [u8]) {
        panic!("no luck");
    }
}

/// Asks its host for what the path says.
struct Asks(Arc<dyn Host>);

impl Vlugin for Asks {
    type Config = ();

    async fn on_create((): (), cx: &mut Context) -> http::Result<Self> {
        Ok(Self(cx.host().clone()))
    }

    async fn on_request(&self, cx: &Context, req: http::Request) -> http::Result<http::Response> {
        let other = || http::Request::get("http://other/");
        match req.url().path() {
            "/name" => Ok(format!("`{}`", cx.name()).into()),
            "/log" => {
                self.0.log(&LogRecord {
                    level: log::Level::Error,
                    target: "",
                    message: "",
                    file: "",
                    line: 0,
                });
                Ok(self.0.max_level().as_str().into())
            }
            "/fetch" => cx.fetch(other()).await,
            "/call" => cx.call("other", other()).await,
            "/call-dropped" => {
                // Created, and dropped before it is polled.
                drop(self.0.call("other", Request::new("GET", "/").unwrap()));
                drop(self.0.sleep(Duration::ZERO));
                Ok("dropped".into())
            }
            "/sleep" => {
                self.0.sleep(Duration::ZERO).await;
                Ok("slept".into())
            }
            "/now" => Ok(format!("{:?}", self.0.now() > SystemTime::UNIX_EPOCH).into()),
            "/random" => {
                self.0.random(&mut [0; 8]);
                Ok("random".into())
            }
            path => unreachable!("{path}"),
        }
    }
}

fn mounted(entry: Entry, host: impl Host) -> Result<Arc<dyn Instance>, Fault> {
    let host: Arc<dyn Host> = Arc::new(host);
    let create = |host, config| entry.create(host, config);
    let creating = export::create(create, FfiHost::new(host), Value::Null.to_string().into());
    let created: FfiResult<_> = block_on(creating);
    created
        .into_result()
        .map(|instance| Arc::new(Foreign { instance }) as Arc<dyn Instance>)
        .map_err(Into::into)
}

fn ask(vlugin: &Arc<dyn Instance>, path: &str) -> Result<String, Fault> {
    let request = Request::new("GET", path).unwrap();
    let response = block_on(vlugin.clone().on_request(request))?;
    let body = block_on(response.body.bytes(1024)).unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn a_host_that_panics_is_an_error_to_the_vlugin() {
    let vlugin = mounted(Entry::of::<Asks>("asks", "1.0.0"), PanickingHost).unwrap();
    for (path, answer) in [
        ("/name", "``"),
        ("/log", "OFF"),
        ("/call-dropped", "dropped"),
        ("/now", "true"),
    ] {
        assert_eq!(ask(&vlugin, path).as_deref(), Ok(answer), "{path}");
    }
    for (path, kind, message) in [
        ("/fetch", FaultKind::Error, "no fetch at "),
        ("/call", FaultKind::Error, "polled for trouble at "),
        ("/sleep", FaultKind::Panic, "FFI future panicked"),
        ("/random", FaultKind::Panic, "the host gave no random bytes"),
    ] {
        let fault = ask(&vlugin, path).unwrap_err();
        assert_eq!(fault.kind, kind, "{path}: {fault}");
        assert!(fault.message.contains(message), "{path}: {fault}");
    }
}

/// A vlugin below the glue that makes one from an author's type.
struct Streams;

impl Instance for Streams {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        let first = Ok(Chunk::Data(Bytes::from_static(b"first")));
        let second = match request.head.target() {
            "/empty" => Ok(Chunk::Data(Bytes::new())),
            "/unspeakable" => Err(io::Error::other(Unspeakable)),
            "/bytes" => Ok(Chunk::Data(Bytes::from_owner(Bomb))),
            path => unreachable!("{path}"),
        };
        let last = Ok(Chunk::Data(Bytes::from_static(b"last")));
        let mut response = Response::new(200);
        response.body = Body::stream(None, stream::iter([first, second, last]));
        async { Ok(response) }.boxed()
    }
}

#[test]
fn a_chunk_that_panics_is_an_error_of_its_stream() {
    let vlugin: Arc<dyn Instance> = Arc::new(Foreign {
        instance: super::types::FfiInstance::new(Arc::new(Streams)),
    });
    let chunks = |path| {
        let request = Request::new("GET", path).unwrap();
        let mut body = block_on(vlugin.clone().on_request(request)).unwrap().body;
        let mut chunks = Vec::new();
        while let Some(chunk) = block_on(body.next()) {
            chunks.push(match chunk {
                Ok(Chunk::Data(data)) => String::from_utf8(data.to_vec()).unwrap(),
                Ok(chunk) => format!("{chunk:?}"),
                Err(error) => error.to_string(),
            });
        }
        chunks
    };
    assert_eq!(chunks("/empty"), ["first", "last"]);
    let panicked = "the body's stream panicked: an error without words";
    assert_eq!(chunks("/unspeakable"), ["first", panicked, "last"]);
    // Bytes go back to the side that created them after they have been read; if dropping them fails, that is not the
    // reader's fault.
    assert_eq!(chunks("/bytes"), ["first", "bytes with a bomb", "last"]);
}

/// Repeats what it hears in capitals, ends its own side, and listens on.
struct Upgrades;

impl Vlugin for Upgrades {
    type Config = ();

    async fn on_create((): (), _: &mut Context) -> http::Result<Self> {
        Ok(Self)
    }

    async fn on_request(&self, _: &Context, _: http::Request) -> http::Result<http::Response> {
        Ok(valor::upgrade("raw", |mut connection| async move {
            let mut heard = [0; 3];
            connection.read_exact(&mut heard).await?;
            connection.write_all(&heard.to_ascii_uppercase()).await?;
            connection.close().await?;
            connection.read_to_end(&mut Vec::new()).await?;
            Ok(())
        }))
    }
}

#[test]
fn an_upgraded_connection_crosses_with_both_its_ends() {
    let vlugin = mounted(Entry::of::<Upgrades>("upgrades", "1.0.0"), PanickingHost).unwrap();
    let (client, said) = async_channel::unbounded();
    let mut request = Request::new("GET", "/").unwrap();
    request.head.push("connection", b"upgrade").unwrap();
    request.head.push("upgrade", b"raw").unwrap();
    request.body = Body::stream(None, said);
    let mut response = block_on(vlugin.on_request(request)).unwrap();
    assert_eq!(response.head.status(), 101);
    let mut next = || block_on(future::poll_once(response.body.next()));
    assert!(next().is_none());
    let say = |text: &'static str| client.try_send(Ok(Chunk::Data(text.into())));
    say("one").unwrap();
    assert!(matches!(next(), Some(Some(Ok(Chunk::Data(data)))) if data == "ONE"));
    assert!(matches!(next(), Some(Some(Ok(Chunk::Trailers(none)))) if none.is_empty()));
    say("two").unwrap();
    assert!(next().is_none());
    client.close();
    assert!(matches!(next(), Some(None)));
    drop(response);
    assert!(client.is_closed());
}

#[test]
fn a_vlugin_may_be_dropped_as_a_thread_ends() {
    thread_local! {
        static KEPT: RefCell<Option<Arc<dyn Instance>>> = const { RefCell::new(None) };
    }
    // Compiled in: there is no boundary around it.
    let entry = Entry::of::<Asks>("asks", "1.0.0");
    let vlugin = block_on(entry.create(Arc::new(PanickingHost), Value::Null)).unwrap();
    let weak = Arc::downgrade(&vlugin);
    let ended = std::thread::spawn(move || {
        // Kept before the thread knows of a current host, and so dropped after it.
        KEPT.set(Some(vlugin));
        let kept = KEPT.with_borrow(Clone::clone).unwrap();
        assert!(ask(&kept, "/now").is_err(), "its host panics");
    });
    ended.join().unwrap();
    assert!(weak.upgrade().is_none());
}
