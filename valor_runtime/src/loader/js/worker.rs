//! [`Worker`]: one running script, as seen by those who send it requests; [`End`]: why it no longer runs.
//!
//! `process` creates them, `script` sends requests to them. The end of a worker is reported to everyone who waits for
//! it, once.

use super::{entry::behind, gate::Gates, link::Transport};
use crate::{
    Body, Request, RequestHead,
    host::fetch::local::{Local, end_to_end},
};
use smol::channel::{Receiver, Sender};
use std::{fmt, sync::OnceLock, time::Duration};
use valor_abi_guest::message;

/// A larger head, or one with more headers, does not go to Deno's server, which takes 64 KiB and about 100.
const LARGE_HEAD: usize = 32 << 10;
const MANY_HEADERS: usize = 80;
/// Why a worker no longer runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It was ordered to.
    Stopped,
    /// It ran without a pause for longer than it may.
    Blocked,
    /// It used more memory than it may.
    Memory,
    /// The host would hold more for it than it may.
    Held,
    /// Its process is gone, or what it runs has ended.
    Died(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("was stopped"),
            Self::Blocked => f.write_str("ran without a pause for longer than `limits.cpu`"),
            Self::Memory => f.write_str("needed more memory than `limits.memory`"),
            Self::Held => f.write_str(
                "had the host hold more bodies, heads and texts for it than `limits.host_memory`",
            ),
            Self::Died(how) => write!(f, "ended: {how}"),
        }
    }
}

/// One running script.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) local: Local,
    /// The token in Valor's own requests; over TCP, where anyone can connect, in all of them.
    pub(super) token: String,
    pub(super) transport: Transport,
    /// Bodies that wait for the script to read them.
    pub(super) gates: Gates,
    pub(super) slot: usize,
    /// How long it may run without a pause.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "the supervisor has it too")
    )]
    pub(super) cpu: Duration,
    pub(super) stages: Sender<Stage>,
    pub(super) end: OnceLock<End>,
    /// Closed with the end.
    pub(super) over: (Sender<()>, Receiver<()>),
}

pub(super) enum Stage {
    Listening,
    Ready,
    Failed(String),
}

impl Worker {
    /// A client's request for the worker: unchanged, or marked with the token. If its head is too large for Deno's
    /// server, it is a message.
    pub(super) fn addressed(&self, mut request: Request) -> Request {
        let head = &mut request.head;
        if head.as_bytes().len() > LARGE_HEAD || head.len() > MANY_HEADERS {
            return self.enveloped(request);
        }
        let scheme = self.scheme(head);
        let gate = self.gates.hold(&mut request);
        let head = &mut request.head;
        let gate = gate.map_or_else(String::new, |id| format!("!{id}"));
        let scheme = match scheme {
            Some(scheme) => scheme,
            None if gate.is_empty() => return request,
            None => '~',
        };
        let peer = head.peer().unwrap_or_default();
        let target = format!("/{}{scheme}{peer}{gate};{}", self.token, head.target());
        // It is as valid as the original.
        let _ = head.set_target(&target);
        request
    }

    /// What replaces the scheme after the token, before the peer; `None` if there is nothing to say about a request.
    fn scheme(&self, head: &RequestHead) -> Option<char> {
        match (self.transport, head.is_https()) {
            (_, true) => Some('+'),
            (Transport::Tcp, false) => Some('~'),
            #[cfg(unix)]
            (Transport::Unix, false) => head.peer().map(|_| '~'),
        }
    }

    fn enveloped(&self, request: Request) -> Request {
        let Request { mut head, body } = request;
        end_to_end(&mut head);
        let len = body.len();
        let body = Body::Stream {
            len,
            chunks: Box::pin(body),
        };
        let (block, chunks) = message::encode_request(Request { head, body });
        let target = format!("/{}!request", self.token);
        let mut request = Request::new("POST", &target).expect("a path of hexadecimal digits");
        if let Some(chunks) = chunks {
            request.body = behind(block, len, chunks);
        }
        request
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> End {
        while self.over.1.recv().await.is_ok() {}
        self.end.get().cloned().unwrap_or(End::Stopped)
    }

    pub(super) fn end(&self, end: End) {
        if self.end.set(end.clone()).is_ok() {
            self.stages.close();
            self.over.0.close();
            if end != End::Stopped {
                let name = &*self.name;
                log::error!(target: "valor::js", vlugin = name; "the vlugin `{name}` {end}");
            }
        }
    }
}
