//! Server-sent events: a response that never ends, with one event per second, or per `?every=` milliseconds. When the
//! client disconnects, the host drops the stream. No clean-up is needed.

use futures_lite::stream;
use std::time::Duration;
use valor::*;

#[derive(serde::Deserialize)]
struct Query {
    #[serde(default = "one_second")]
    every: u64,
}

fn one_second() -> u64 {
    1000
}

#[vlugin]
pub async fn on_request(req: http::Request) -> http::Result<http::Response> {
    let Query { every } = req.query()?;
    let every = Duration::from_millis(every.max(1));

    let events = stream::unfold(0, move |number| async move {
        sleep(every).await;
        Some((Ok(format!("id: {number}\ndata: tick\n\n")), number + 1))
    });

    let mut res = http::Response::new(http::StatusCode::Ok);
    res.set_body(streaming(events));
    res.insert_header("content-type", "text/event-stream");
    res.insert_header("cache-control", "no-store");
    Ok(res)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_for_as_long_as_someone_listens() {
        let vlugin = testing::create(VLUGIN, ());
        let start = vlugin.now();

        let mut events = vlugin
            .get("/?every=250")
            .assert_status(200)
            .assert_header("content-type", "text/event-stream");
        for number in 0..4 {
            let event = events.chunk().unwrap().unwrap();
            assert_eq!(event, format!("id: {number}\ndata: tick\n\n"));
        }
        assert_eq!(vlugin.now(), start + Duration::from_secs(1));
    }

    #[test]
    fn refuses_a_pace_that_is_no_number() {
        testing::create(VLUGIN, ())
            .get("/?every=now")
            .assert_status(400);
    }
}
