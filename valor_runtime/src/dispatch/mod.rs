//! A request's way to its vlugin and back: routing, ids, the prefix, limits, panics.
//!
//! The [`Runtime`](crate::Runtime) hands every request to [`Dispatch::answer`], which always gives a response. The
//! faults of a vlugin end here, as a status and a line in the log with the vlugin's name.

mod body;
mod depth;
mod fault_log;
mod in_flight;
mod pace;
mod path;
mod rewrite;
pub mod watch;

pub use pace::CallTimeouts;

use crate::{
    Body, BoxFuture, Fault, FaultKind, Request, RequestHead, Response, Vlugin, id,
    in_band::{CALLER, FORWARDED_PREFIX},
    metrics::Metrics,
    registry::{Mount, Registry},
    status::{self, Content},
    timer::Timer,
};
use body::Cut;
use fault_log::{log_after_broken_body, log_fault, told};
use in_flight::InFlight;
use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Instant,
};
use valor_abi_wire::unwind::{catch, drop_caught};

/// Answers requests: the registry and the counters.
#[derive(Default)]
pub struct Dispatch {
    /// The mounted vlugins.
    pub registry: Registry,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The limits for the bodies of calls.
    pub call_timeouts: CallTimeouts,
    /// What the host offers to `call`, by names that begin with `_`. No path leads there.
    pub offered: Vec<Arc<Mount>>,
    /// What takes some of the requests for paths where nothing is mounted.
    pub front: OnceLock<Front>,
    /// Whether the `authorization` of a request is for the program's own vlugins alone, if some is. A browser that was
    /// asked for it once sends it to every path (RFC 7617, section 2.2), and programs may do so too.
    pub owns_authorization: Option<Asks>,
}

/// Answers a question about a request.
pub type Asks = Box<dyn Fn(&RequestHead) -> bool + Send + Sync>;

/// A mounted vlugin, and the requests for paths where nothing is mounted that it takes.
pub struct Front {
    /// The vlugin.
    pub mount: Arc<Mount>,
    /// Whether it takes a request.
    pub takes: Asks,
}

impl Dispatch {
    /// Answers a request from outside, by its path.
    pub async fn answer(&self, mut request: Request) -> Response {
        let head = &mut request.head;
        // It names a vlugin, which a request from outside has not come from.
        head.remove(CALLER);
        let id = id::settle(head);
        let in_flight = InFlight::begin(self.metrics.clone(), id, head);
        if let std::borrow::Cow::Owned(resolved) = path::resolve(head.target())
            && let Err(error) = head.set_target(&resolved)
        {
            return refuse(in_flight, 400, &error.to_string());
        }
        let Some((mount, len)) = self.registry.route(head.path()) else {
            if let Some(front) = self.front.get().filter(|it| (it.takes)(head)) {
                return run(front.mount.clone(), request, in_flight).await;
            }
            let detail = format!("no vlugin is mounted at {}", head.path());
            return refuse(in_flight, 404, &detail);
        };
        if !mount.name.starts_with('_')
            && self
                .owns_authorization
                .as_ref()
                .is_some_and(|owns| owns(head))
        {
            head.remove("authorization");
        }
        if mount.is_folder() && len > 0 && len == head.path().len() && is_read(head.method()) {
            let location = format!("{}/{}", &head.target()[..len], &head.target()[len..]);
            return to_folder(&mount, &location, in_flight);
        }
        let len = if mount.strip { len } else { 0 };
        if let Err(error) = enter_prefix(&mut request, len) {
            return refuse(in_flight, 400, &error.to_string());
        }
        if !mount.rewrite {
            return run(mount, request, in_flight).await;
        }
        let prefix = mount.prefix.clone();
        let mut response = run(mount, request, in_flight).await;
        rewrite::add_prefix(&mut response.head, &prefix);
        response
    }

    /// Answers a request of one vlugin to another or to what the host offers, by name. The target is the path that the
    /// callee sees.
    pub async fn call(&self, name: &str, request: Request) -> Response {
        depth::counted(self.call_once(name, request)).await
    }

    async fn call_once(&self, name: &str, mut request: Request) -> Response {
        // Only the owner of the connection can offer another protocol on it.
        request.head.remove("upgrade");
        let head = &mut request.head;
        let id = id::settle(head);
        let mut in_flight = InFlight::begin(self.metrics.clone(), id, head);
        in_flight.is_call = true;
        // The program's own vlugins, `/_plugins` among them, trust the origin of a request. No vlugin may speak
        // through them. What the program offers to vlugins is not mounted.
        let callee = match name.starts_with('_') {
            true => self.offered.iter().find(|it| &*it.name == name).cloned(),
            false => self.registry.get(name),
        };
        let Some(mount) = callee else {
            return refuse(in_flight, 404, &format!("no vlugin is named `{name}`"));
        };
        if depth::now() > depth::MOST {
            let most = depth::MOST;
            let detail = format!(
                "`{name}` is called within {most} calls: do vlugins call each other, or one itself, without an end?"
            );
            return refuse(in_flight, 508, &detail);
        }
        let CallTimeouts { send, take } = self.call_timeouts;
        let cut = Cut::of(&request.body);
        request.body = pace::sent(request.body, send, cut.as_ref());
        let mut response = run_cut(mount, request, in_flight, cut).await;
        response.body = pace::taken(response.body, take, name);
        response
    }
}

/// Drops a vlugin that was taken out of the registry. If nothing runs on it any more, its destructor runs here. That
/// is the vlugin's code, so it is watched and caught under the vlugin's name.
pub fn retire(mount: Arc<Mount>) {
    let plate = Arc::new(mount.name_plate());
    if let Err(panicked) = watch::run(&plate, || drop_caught(mount)) {
        log_fault(&plate, &panicked.into(), "");
    }
}

/// Takes the prefix off the path and puts it into `x-forwarded-prefix`. A client's own header of this name never
/// arrives.
fn enter_prefix(request: &mut Request, len: usize) -> Result<(), valor_abi_wire::HeadError> {
    let head = &mut request.head;
    head.remove(FORWARDED_PREFIX);
    if len == 0 {
        return Ok(());
    }
    let prefix = head.take_prefix(len);
    // No byte of a target breaks a header.
    head.push_parsed(FORWARDED_PREFIX, prefix.as_bytes())
}

fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Redirects a client that asked for a folder's prefix to the folder itself. The vlugin could not do that: without the
/// prefix, both have the path `/`.
fn to_folder(mount: &Arc<Mount>, location: &str, mut in_flight: InFlight) -> Response {
    in_flight.enter(mount);
    let mut response = Response::new(301);
    let _ = response.head.push("location", location.as_bytes());
    end(in_flight, response)
}

/// Runs a vlugin within its limits.
async fn run(mount: Arc<Mount>, request: Request, in_flight: InFlight) -> Response {
    let cut = Cut::of(&request.body);
    run_cut(mount, request, in_flight, cut).await
}

/// The same. `cut` notes whether and why the request's body is cut off.
async fn run_cut(
    mount: Arc<Mount>,
    mut request: Request,
    mut in_flight: InFlight,
    cut: Option<Arc<Cut>>,
) -> Response {
    if !in_flight.enter(&mount) {
        let detail = format!(
            "the vlugin `{}` runs {} requests already",
            mount.name, mount.concurrency
        );
        let mut response = refuse(in_flight, 503, &detail);
        let _ = response.head.push("retry-after", b"1");
        return response;
    }
    let too_large = || format!("the body is over the limit of {} bytes", mount.body_limit);
    if request.body.len().is_some_and(|len| len > mount.body_limit) {
        return refuse(in_flight, 413, &too_large());
    }
    let offers_upgrade = request.offers_upgrade();
    let limit = match offers_upgrade {
        // The bytes after an upgrade are no body, and have no limit.
        true => u64::MAX,
        false => mount.body_limit,
    };
    request.body = body::limited(request.body, limit, cut.as_ref());

    let mut answering = Answering::new(&mount, request, in_flight.start());
    let outcome = (&mut answering).await;
    let late = answering.late;
    drop(answering);

    let status = cut.as_ref().and_then(|cut| cut.status());
    let mut response = match (status, outcome) {
        // Whatever the vlugin made of a body that was cut off, the client should know why.
        (Some(413), _) => Response::problem(413, &too_large()),
        (Some(status), _) => Response::problem(status, "the request's body comes too slowly"),
        (None, Ok(response)) => match unsendable(&response, offers_upgrade) {
            Some(why) => {
                dropped(&mount, response.body);
                failed(&mount, &Fault::error(500, why), false, late, &mut in_flight)
            }
            None => response,
        },
        (None, Err(fault)) => {
            let is_broken = cut.as_ref().is_some_and(|cut| cut.is_broken());
            failed(&mount, &fault, is_broken, late, &mut in_flight)
        }
    };
    in_flight.sign(&mut response);
    let content = status::content(in_flight.status);
    if content == Content::Protocol
        && let Body::Bytes(bytes) = response.body
    {
        // The server may still refuse the protocol, and the request is open until then.
        response.body = Body::stream(None, Body::Bytes(bytes));
    }
    if matches!(content, Content::Nothing | Content::Empty) {
        dropped(&mount, std::mem::take(&mut response.body));
        in_flight.complete = true;
    } else {
        response.body = body::tracked(response.body, &mount, in_flight, cut);
    }
    response
}

/// Why a response cannot be sent to a client, if it cannot.
fn unsendable(response: &Response, offers_upgrade: bool) -> Option<String> {
    let bad = || {
        let bad = status::bad_header(&response.head)?;
        Some(format!("its response cannot be sent: {bad}"))
    };
    status::no_answer(response.head.status(), offers_upgrade)
        .or_else(|| status::too_long(&response.head))
        .or_else(bad)
}

/// Drops a response's body without sending it. That runs the vlugin's code.
fn dropped(mount: &Arc<Mount>, body: Body) {
    if let Err(panicked) = watch::run(mount, || drop_caught(body)) {
        log_fault(mount, &panicked.into(), "");
    }
}

/// A refusal, which ends the request.
fn refuse(mut in_flight: InFlight, status: u16, detail: &str) -> Response {
    if status >= 500 {
        in_flight.reason = Some(detail.to_owned());
    }
    end(in_flight, Response::problem(status, detail))
}

/// Ends a request with a response that no vlugin made.
fn end(mut in_flight: InFlight, mut response: Response) -> Response {
    in_flight.sign(&mut response);
    in_flight.bytes = response.body.len().unwrap_or(0);
    in_flight.complete = true;
    response
}

/// The response that replaces a failed vlugin's own. Internal errors stay in the log. The message of a status below
/// 500 is meant for the client.
///
/// `body_broke` says that the request's body broke off before.
fn failed(
    mount: &Mount,
    fault: &Fault,
    body_broke: bool,
    late: bool,
    in_flight: &mut InFlight,
) -> Response {
    if fault.status >= 500 {
        in_flight.reason = Some(told(fault));
    }
    let id = in_flight.id();
    match body_broke {
        true => log_after_broken_body(mount, fault, id),
        false => log_fault(mount, fault, id),
    }
    if let Some(metrics) = mount.metrics.get() {
        match fault.kind {
            FaultKind::Panic => metrics.panics.inc(),
            FaultKind::Timeout => metrics.timeouts.inc(),
            _ => {}
        }
    }
    let detail = match (fault.status, fault.kind, mount.cpu) {
        (..500, ..) => fault.message.clone(),
        (_, FaultKind::Timeout, _) if late => format!(
            "the vlugin `{}` did not answer within {} s",
            mount.name,
            mount.timeout.as_secs_f64()
        ),
        (_, FaultKind::Timeout, Some(cpu)) => format!(
            "the vlugin `{}` ran for more than {} s without a pause (`limits.cpu`)",
            mount.name,
            cpu.as_secs_f64()
        ),
        _ => format!(
            "the vlugin `{}` failed; the log says why, under id {id}",
            mount.name
        ),
    };
    Response::problem(fault.status, &detail)
}

/// A vlugin's future within its time limit. It is watched. If it comes from code of this program, its panics are
/// caught here (a library catches its own).
struct Answering {
    mount: Arc<Mount>,
    stage: Stage,
    start: Instant,
    time_limit: Timer,
    /// Whether the time limit ended it.
    late: bool,
}

enum Stage {
    Begin(Option<Request>),
    Runs(BoxFuture<'static, Result<Response, Fault>>),
    Ended,
}

impl Answering {
    fn new(mount: &Arc<Mount>, request: Request, start: Instant) -> Self {
        Self {
            mount: mount.clone(),
            stage: Stage::Begin(Some(request)),
            start,
            time_limit: Timer::never(),
            late: false,
        }
    }

    /// Drops the future, which is the vlugin's code.
    fn end(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        if let Err(panicked) = watch::run(&self.mount, || drop_caught(stage)) {
            log_fault(&self.mount, &panicked.into(), "");
        }
    }
}

impl Future for Answering {
    type Output = Result<Response, Fault>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (mount, stage) = (&this.mount, &mut this.stage);
        let (polled, ended) = watch::run(mount, || {
            let polled = catch(|| {
                if let Stage::Begin(request) = stage {
                    let request = request.take().expect("taken once");
                    *stage = Stage::Runs(mount.vlugin.clone().on_request(request));
                }
                match stage {
                    Stage::Runs(answer) => answer.as_mut().poll(cx),
                    _ => Poll::Pending,
                }
            });
            let ended = match polled {
                Ok(Poll::Pending) => Ok(()),
                _ => drop_caught(std::mem::replace(stage, Stage::Ended)),
            };
            (polled, ended)
        });
        if let Err(panicked) = ended {
            log_fault(mount, &panicked.into(), "");
        }
        match polled {
            Ok(Poll::Ready(outcome)) => Poll::Ready(outcome),
            Err(panicked) => Poll::Ready(Err(panicked.into())),
            Ok(Poll::Pending) => {
                // The timer is set only here: a vlugin that answers at once never pays for it.
                if this.time_limit.rings_at().is_none() {
                    this.time_limit
                        .set_at(this.start.checked_add(mount.timeout));
                }
                ready!(Pin::new(&mut this.time_limit).poll(cx));
                this.late = true;
                let line = format!("no response within {} s", mount.timeout.as_secs_f64());
                this.end();
                Poll::Ready(Err(Fault::new(FaultKind::Timeout, 504, line)))
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Ended) {
            self.end();
        }
    }
}

/// The vlugins of a dispatch by name instead of by path: `/NAME/the/rest` is `/the/rest` for the vlugin `NAME`. Hosts
/// get this as a `dyn Vlugin`, so they need to know nothing about the rooms above them.
pub struct ByName(pub std::sync::Weak<Dispatch>);

impl Vlugin for ByName {
    fn on_request(
        self: Arc<Self>,
        mut request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin(async move {
            let Some(dispatch) = self.0.upgrade() else {
                return Err(Fault::refused(503, "the runtime has ended"));
            };
            let target = request.head.target().trim_start_matches('/');
            let end = target.find(['/', '?']).unwrap_or(target.len());
            let (name, rest) = target.split_at(end);
            let (name, rest) = (name.to_owned(), rest.to_owned());
            let rest = if rest.starts_with('/') {
                rest
            } else {
                format!("/{rest}")
            };
            request
                .head
                .set_target(&rest)
                .map_err(|error| Fault::refused(400, error.to_string()))?;
            Ok(dispatch.call(&name, request).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Place, from_fn};

    #[test]
    fn a_vlugin_that_calls_itself_without_an_end_is_refused() {
        let dispatch = Arc::new(Dispatch::default());
        let ring = {
            let dispatch = Arc::downgrade(&dispatch);
            from_fn(move |request| {
                let dispatch = dispatch.upgrade();
                async move {
                    let dispatch = dispatch.ok_or_else(|| Fault::error(500, "it has ended"))?;
                    Ok(dispatch.call("ring", request).await)
                }
            })
        };
        let mount = Place::new("ring").mount(ring, Default::default(), &Limits::default());
        dispatch.registry.insert(vec![mount]).unwrap();
        let ask = || {
            let request = Request::new("GET", "/ring").unwrap();
            futures_lite::future::block_on(dispatch.answer(request))
        };
        assert_eq!(ask().head.status(), 508);
        // Nothing is left of it.
        assert_eq!(depth::now(), 0);
        assert_eq!(ask().head.status(), 508);
    }
}
