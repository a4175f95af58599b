//! [`TestVlugin`], a vlugin that a [`TestHost`](super::TestHost) has created, and [`TestRequest`], a request to it.

use super::{
    clock::Clock,
    response::TestResponse,
    world::{Answers, LogLine, World},
};
use crate::http;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};
use valor_abi_wire::{Fault, Instance, Request, RequestHead, Response};

/// A vlugin that was created for a test.
pub struct TestVlugin {
    instance: Arc<dyn Instance>,
    world: Arc<World>,
    name: String,
    prefix: String,
    /// How many requests have received an id.
    requests: AtomicU64,
}

impl TestVlugin {
    pub(super) fn new(
        instance: Arc<dyn Instance>,
        world: Arc<World>,
        name: String,
        prefix: String,
    ) -> Self {
        Self {
            instance,
            world,
            name,
            prefix,
            requests: AtomicU64::new(0),
        }
    }

    /// Sends a GET request; `target` is path and query, without the vlugin's prefix.
    #[track_caller]
    pub fn get(&self, target: &str) -> TestResponse {
        self.request("GET", target).send()
    }

    /// Sends a POST request with a body; its content type is that of the body.
    #[track_caller]
    pub fn post(&self, target: &str, body: impl Into<http::Body>) -> TestResponse {
        self.request("POST", target).body(body).send()
    }

    /// Begins a request of any method; send it with [`TestRequest::send`].
    ///
    /// # Panics
    /// For a method or a target that HTTP does not know.
    #[track_caller]
    pub fn request(&self, method: &str, target: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, target)
    }

    /// What was logged since the vlugin was created, by it and by those next to it. The log keeps every level.
    pub fn log(&self) -> Vec<LogLine> {
        self.world.log().clone()
    }

    /// The time of day by the host's clock.
    pub fn now(&self) -> SystemTime {
        self.world.clock.now()
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Sets the headers that a host sets in a request, and returns the request's id.
    fn complete(&self, head: &mut RequestHead) -> String {
        if head.peer().is_none() {
            head.set_peer("127.0.0.1:50000");
        }
        head.remove("x-valor-caller");
        head.remove("x-forwarded-prefix");
        if self.prefix != "/" {
            let _ = head.push("x-forwarded-prefix", self.prefix.as_bytes());
        }
        let own = head.header_str("x-request-id").map(str::to_owned);
        let id = own.unwrap_or_else(|| {
            format!("{:032x}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
        });
        let _ = head.set("x-request-id", id.as_bytes());
        id
    }

    #[track_caller]
    fn send(&self, request: Request) -> (Result<Response, Fault>, Arc<Clock>) {
        let clock = self.world.clock.clone();
        let answer = clock.run(self.instance.clone().on_request(request));
        (answer, clock)
    }
}

impl Drop for TestVlugin {
    fn drop(&mut self) {
        // Those next to it hold the host, and the host holds them.
        *self.world.answers() = Answers::default();
    }
}

/// A request that is about to be sent.
#[must_use = "`send` sends it"]
pub struct TestRequest<'a> {
    vlugin: &'a TestVlugin,
    head: RequestHead,
    body: http::Body,
}

impl<'a> TestRequest<'a> {
    #[track_caller]
    fn new(vlugin: &'a TestVlugin, method: &str, target: &str) -> Self {
        let head = match RequestHead::new(method, target) {
            Ok(head) => head,
            Err(error) => panic!("{method} {target} cannot be asked for: {error}"),
        };
        Self {
            vlugin,
            head,
            body: http::Body::empty(),
        }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// For a name or a value that HTTP does not know.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.head.push(name, value.as_ref()) {
            panic!("this header cannot be sent: {error}");
        }
        self
    }

    /// Sets the body: text, bytes, JSON, or a [`streaming`](crate::streaming) one. Its content type is sent with it,
    /// unless a header sets another.
    pub fn body(mut self, body: impl Into<http::Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The client's address and port; by default `127.0.0.1:50000`.
    pub fn peer(mut self, peer: &str) -> Self {
        self.head.set_peer(peer);
        self
    }

    /// Sends it and waits for the response to begin. Headers that the host sets have the host's value: the prefix, and
    /// the request's id unless [`TestRequest::header`] has set it.
    #[track_caller]
    pub fn send(mut self) -> TestResponse {
        if self.body.is_empty() != Some(true) && self.head.header("content-type").is_none() {
            let mime = self.body.mime().to_string();
            self = self.header("content-type", mime);
        }
        let asked = format!("{} {}", self.head.method(), self.head.target());
        let id = self.vlugin.complete(&mut self.head);
        // What is there of the body is taken at once; the vlugin reads the rest.
        let body = futures_lite::future::block_on(valor_abi_http::body_into_wire(self.body));
        let (answer, clock) = self.vlugin.send(Request {
            head: self.head,
            body,
        });
        let (response, fault) = match answer {
            Ok(response) => (response, None),
            Err(fault) => {
                let detail = match fault.status {
                    ..500 => &fault.message,
                    _ => "the vlugin failed",
                };
                (Response::problem(fault.status, detail), Some(fault))
            }
        };
        let mut head = response.head;
        for (name, value) in [
            ("x-correlation-id", &*id),
            ("x-valor-plugin", self.vlugin.name()),
        ] {
            // If the head has no room for it, it is left out, as on the host.
            let _ = head.set(name, value.as_bytes());
        }
        TestResponse::new(asked, head, response.body, fault, clock)
    }
}
