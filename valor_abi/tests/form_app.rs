//! An app that is async, fails, takes no context, and is no router: a service that says when it is ready.

#![allow(missing_docs)] // It is written as authors write.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};
use tower::Service;
use valor::*;

/// Ready at the second poll. A clone has to be asked again. It is `Send`, but not `Sync`.
pub struct Gate {
    asked: Cell<u32>,
    closed: Arc<AtomicBool>,
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self {
            asked: Cell::new(0),
            closed: self.closed.clone(),
        }
    }
}

impl Service<http1::Request<http1::Body>> for Gate {
    type Response = http1::Response<String>;
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, String>> + Send>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), String>> {
        if self.closed.load(Ordering::SeqCst) {
            return Poll::Ready(Err("the gate is closed".into()));
        }
        self.asked.set(self.asked.get() + 1);
        match self.asked.get() {
            1 => {
                Waker::wake_by_ref(cx.waker());
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, req: http1::Request<http1::Body>) -> Self::Future {
        let asked = self.asked.replace(0);
        assert_eq!(asked, 2, "it was not ready");
        if req.uri() == "/close" {
            self.closed.store(true, Ordering::SeqCst);
        }
        Box::pin(async move { Ok(http1::Response::new(format!("asked {asked} times"))) })
    }
}

#[vlugin]
pub async fn app(cx: &mut Context) -> Result<Gate, String> {
    sleep(std::time::Duration::from_secs(1)).await;
    match cx.raw_config() {
        serde_json::Value::Null => Err("there is no gate".into()),
        _ => Ok(Gate {
            asked: Cell::new(0),
            closed: Arc::default(),
        }),
    }
}

#[test]
fn a_service_is_called_when_it_is_ready() {
    let vlugin = testing::create(VLUGIN, "a gate");
    vlugin.get("/").assert_body("asked 2 times");
    vlugin.get("/close").assert_body("asked 2 times");
    vlugin
        .get("/")
        .assert_status(500)
        .assert_fault("the gate is closed");
}

#[test]
fn an_error_fails_the_load() {
    let refused = testing::TestHost::new().try_create(VLUGIN).err().unwrap();
    assert_eq!(
        (refused.status, &*refused.message),
        (500, "there is no gate")
    );
}
