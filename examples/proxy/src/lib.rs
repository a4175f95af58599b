//! Forwards each request to the server named in its config, and returns the response. Bodies stream in both
//! directions.

use valor::*;

pub struct Proxy {
    upstream: http::Url,
}

#[derive(serde::Deserialize)]
pub struct Config {
    upstream: http::Url,
}

/// Headers between two neighbours only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[vlugin]
impl Vlugin for Proxy {
    type Config = Config;

    async fn on_create(config: Config, _cx: &mut Context) -> http::Result<Self> {
        Ok(Proxy {
            upstream: config.upstream,
        })
    }

    async fn on_request(
        &self,
        cx: &Context,
        mut req: http::Request,
    ) -> http::Result<http::Response> {
        let mut url = self.upstream.clone();
        url.set_path(&(url.path().trim_end_matches('/').to_owned() + req.url().path()));
        url.set_query(req.url().query());
        *req.url_mut() = url;
        strip(&mut req);

        let mut res: http::Response = cx.client().send(req).await?.into();
        strip(&mut res);
        Ok(res)
    }
}

/// Removes the headers between two neighbours only, including those that `connection` names.
fn strip(message: &mut impl AsMut<http::Headers>) {
    let headers = message.as_mut();
    if let Some(values) = headers.remove("connection") {
        for name in values.iter().flat_map(|value| value.as_str().split(',')) {
            headers.remove(name.trim());
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use testing::TestHost;

    #[test]
    fn passes_on_the_request_and_the_response() {
        let proxy = TestHost::new()
            .config(json!({ "upstream": "http://upstream.example/base/" }))
            .on_fetch(|mut req| async move {
                assert_eq!(req.method(), http::Method::Put);
                assert_eq!(req.url().as_str(), "http://upstream.example/base/a?b=c");
                assert_eq!(req["x-kept"], "yes");
                assert!(req.header("x-hop").is_none() && req.header("host").is_none());

                let mut res = http::Response::new(201);
                res.insert_header("connection", "close");
                res.insert_header("x-from", "upstream");
                res.set_body(req.take_body());
                res
            })
            .create(VLUGIN);

        let response = proxy
            .request("PUT", "/a?b=c")
            .header("host", "proxy.example")
            .header("connection", "keep-alive, X-Hop")
            .header("x-hop", "for the proxy alone")
            .header("x-kept", "yes")
            .body("there and back")
            .send()
            .assert_status(201)
            .assert_header("x-from", "upstream")
            .assert_body("there and back");
        assert_eq!(response.header("connection"), None);
    }

    #[test]
    fn says_so_where_the_server_cannot_be_reached() {
        TestHost::new()
            .config(json!({ "upstream": "http://upstream.example" }))
            .on_fetch(|_| async { Err::<(), _>(http::Error::from_str(502, "connection refused")) })
            .create(VLUGIN)
            .get("/")
            .assert_status(502);
    }

    #[test]
    fn has_to_know_its_server() {
        let refused = TestHost::new().try_create(VLUGIN).err().unwrap();
        assert!(refused.message.contains("no `config`"), "{refused}");
    }
}
