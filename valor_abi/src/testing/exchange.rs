//! One exchange of a test: [`TestRequest`], what it sends, and [`TestResponse`], what it gets
//! and what it expects of that.

use super::{TestVlugin, clock::Clock};
use crate::{
    convert,
    fault::Fault,
    http,
    wire::{Body, Bytes, Chunk, Request, RequestHead, Response, ResponseHead},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, io, sync::Arc};

/// A request that is about to be sent.
#[must_use = "`send` sends it"]
pub struct TestRequest<'a> {
    vlugin: &'a TestVlugin,
    head: RequestHead,
    body: http::Body,
}

impl<'a> TestRequest<'a> {
    #[track_caller]
    pub(super) fn new(vlugin: &'a TestVlugin, method: &str, target: &str) -> Self {
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

    /// Sets the body: text, bytes, JSON, or a [`streaming`](crate::streaming) one. Its content
    /// type is sent with it, unless a header says another.
    pub fn body(mut self, body: impl Into<http::Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The client's address and port; `127.0.0.1:50000` if this is not called.
    pub fn peer(mut self, peer: &str) -> Self {
        self.head.set_peer(peer);
        self
    }

    /// Sends it and waits for the response to begin. A header that the host sets has the host's value: the prefix and
    /// the request's id, the latter unless [`TestRequest::header`] has set one.
    #[track_caller]
    pub fn send(mut self) -> TestResponse {
        if self.body.is_empty() != Some(true) && self.head.header("content-type").is_none() {
            let mime = self.body.mime().to_string();
            self = self.header("content-type", mime);
        }
        let asked = format!("{} {}", self.head.method(), self.head.target());
        let id = self.vlugin.complete(&mut self.head);
        // What there is of the body is taken at once; the rest is read by the vlugin.
        let body = futures_lite::future::block_on(convert::body_into_wire(self.body));
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
            // A head that is too full for it goes without, as on the host.
            let _ = head.set(name, value.as_bytes());
        }
        TestResponse {
            asked,
            head,
            body: response.body,
            fault,
            clock,
        }
    }
}

/// A response. Its body is read when it is asked for; one without an end is read piece by
/// piece, with [`chunk`](TestResponse::chunk). A client that goes away is one that is dropped.
pub struct TestResponse {
    asked: String,
    head: ResponseHead,
    body: Body,
    fault: Option<Fault>,
    clock: Arc<Clock>,
}

impl TestResponse {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first header of this lower-case name, where it is there and its value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header_str(name)
    }

    /// Every header.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.headers()
    }

    /// The error or panic that the vlugin answered with, in the place of a response.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The next piece of the body, or `None` at its end.
    ///
    /// # Errors
    /// What the vlugin's stream fails with.
    #[track_caller]
    pub fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.clock.run(self.body.chunk()).transpose()? {
                Some(Chunk::Data(data)) => return Ok(Some(data)),
                Some(Chunk::Trailers(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The body from where it was read to.
    ///
    /// # Errors
    /// What the vlugin's stream fails with.
    #[track_caller]
    pub fn bytes(&mut self) -> io::Result<Bytes> {
        let body = std::mem::take(&mut self.body);
        let bytes = self.clock.run(body.bytes(usize::MAX))?;
        self.body = Body::from(bytes.clone());
        Ok(bytes)
    }

    /// The body as text.
    ///
    /// # Panics
    /// Where the body fails or is not UTF-8.
    #[track_caller]
    pub fn text(&mut self) -> String {
        match self.bytes() {
            Ok(bytes) => match String::from_utf8(bytes.into()) {
                Ok(text) => text,
                Err(error) => panic!("the body of {self} is not text: {error}"),
            },
            Err(error) => panic!("the body of {self} failed: {error}"),
        }
    }

    /// The body, read as JSON.
    ///
    /// # Panics
    /// Where the body fails or is not JSON of this shape.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&mut self) -> T {
        let text = self.text();
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("the body of {self} is not as expected: {error}\n{text}"),
        }
    }

    /// Expects this status.
    ///
    /// # Panics
    /// Where it is another.
    #[track_caller]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "the status of {self}");
        self
    }

    /// Expects a header with this value.
    ///
    /// # Panics
    /// Where it is not there, or has another value.
    #[track_caller]
    pub fn assert_header(self, name: &str, value: &str) -> Self {
        let found = self.header(name);
        assert_eq!(found, Some(value), "the header `{name}` of {self}");
        self
    }

    /// Expects this text as the whole body.
    ///
    /// # Panics
    /// Where it is another, or not text.
    #[track_caller]
    pub fn assert_body(mut self, body: &str) -> Self {
        assert_eq!(self.text(), body, "the body of {self}");
        self
    }

    /// Expects this JSON as the whole body.
    ///
    /// # Panics
    /// Where it is another, or not JSON.
    #[track_caller]
    pub fn assert_json(mut self, body: Value) -> Self {
        assert_eq!(self.json::<Value>(), body, "the body of {self}");
        self
    }

    /// Expects an error or a panic with this message instead of a response.
    ///
    /// # Panics
    /// Where there is none, or one with another message.
    #[track_caller]
    pub fn assert_fault(self, message: &str) -> Self {
        let found = self.fault.as_ref().map(|fault| fault.message.as_str());
        assert_eq!(found, Some(message), "the fault of {self}");
        self
    }
}

impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.asked)?;
        match &self.fault {
            Some(fault) => write!(f, ", which failed: {fault}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}, {:?}", self.asked, self.head, self.body)
    }
}
