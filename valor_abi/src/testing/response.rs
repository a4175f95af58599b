//! [`TestResponse`], what a vlugin answers in a test, with assertions.

use super::clock::Clock;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, io, sync::Arc};
use valor_abi_wire::{Body, Bytes, Chunk, Fault, ResponseHead};

/// A response. Its body is read on demand; read an endless one piece by piece, with [`chunk`](TestResponse::chunk). To
/// simulate a client that goes away, drop it.
pub struct TestResponse {
    asked: String,
    head: ResponseHead,
    body: Body,
    fault: Option<Fault>,
    clock: Arc<Clock>,
}

impl TestResponse {
    pub(super) fn new(
        asked: String,
        head: ResponseHead,
        body: Body,
        fault: Option<Fault>,
        clock: Arc<Clock>,
    ) -> Self {
        Self {
            asked,
            head,
            body,
            fault,
            clock,
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first header of this lower-case name, if it exists and its value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header_str(name)
    }

    /// Every header.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.headers()
    }

    /// The error or panic that the vlugin answered with, instead of a response.
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

    /// The rest of the body.
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
    /// If the body fails or is not UTF-8.
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
    /// If the body fails or is not JSON of this shape.
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
    /// If it is another.
    #[track_caller]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "the status of {self}");
        self
    }

    /// Expects a header with this value.
    ///
    /// # Panics
    /// If it is missing, or has another value.
    #[track_caller]
    pub fn assert_header(self, name: &str, value: &str) -> Self {
        let found = self.header(name);
        assert_eq!(found, Some(value), "the header `{name}` of {self}");
        self
    }

    /// Expects this text as the whole body.
    ///
    /// # Panics
    /// If it is another, or not text.
    #[track_caller]
    pub fn assert_body(mut self, body: &str) -> Self {
        assert_eq!(self.text(), body, "the body of {self}");
        self
    }

    /// Expects this JSON as the whole body.
    ///
    /// # Panics
    /// If it is another, or not JSON.
    #[track_caller]
    pub fn assert_json(mut self, body: Value) -> Self {
        assert_eq!(self.json::<Value>(), body, "the body of {self}");
        self
    }

    /// Expects an error or a panic with this message instead of a response.
    ///
    /// # Panics
    /// If there is none, or one with another message.
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
