//! The typed form, whose handler returns any response type.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

/// Counts.
pub struct Counter {
    from: u32,
    seen: std::sync::atomic::AtomicU32,
}

#[vlugin]
impl Vlugin for Counter {
    type Config = u32;

    async fn on_create(from: u32, _cx: &mut Context) -> http::Result<Self> {
        Ok(Counter {
            from,
            seen: 0.into(),
        })
    }

    /// Answers with anything that is a response.
    async fn on_request(&self, _: &Context, _req: http::Request) -> Option<Json<[u32; 1]>> {
        let seen = self.seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (seen < 2).then_some(Json([self.from + seen]))
    }
}

#[test]
fn answers() {
    let counter = testing::create(VLUGIN, 7);
    counter.get("/").assert_body("[7]");
    counter.get("/").assert_body("[8]");
    counter.get("/").assert_status(404);

    let refused = testing::TestHost::new()
        .config("seven")
        .try_create(VLUGIN)
        .err()
        .unwrap();
    assert!(refused.message.starts_with("`config` does not fit: "));
    let refused = testing::TestHost::new().try_create(VLUGIN).err().unwrap();
    assert!(
        refused
            .message
            .starts_with("there is no `config`, but the vlugin needs one: invalid type: null")
    );
}
