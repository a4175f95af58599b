//! Answers `/hello` as every server of the bench does, `/echo` with the request's body, and everything else with 404.

use wasip3::{
    http::types::{ErrorCode, Fields, Request, Response},
    wit_bindgen, wit_future, wit_stream,
};

struct Component;

fn text(status: u16, said: &'static str) -> Response {
    let headers = Fields::from_list(&[(
        "content-type".into(),
        b"text/plain;charset=utf-8".to_vec(),
    )])
    .expect("a header");
    let (mut body, written) = wit_stream::new();
    let (trailers, end) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (response, _sent) = Response::new(headers, Some(written), end);
    response.set_status_code(status).expect("a status");
    wit_bindgen::spawn_local(async move {
        body.write_all(said.into()).await;
    });
    response
}

impl wasip3::exports::http::handler::Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        Ok(match &*target {
            "/hello" => text(200, "OK response from a plugin"),
            "/echo" => {
                let (_read, done) = wit_future::new(|| Ok(()));
                let (body, trailers) = Request::consume_body(request, done);
                let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
                response
            }
            _ => text(404, ""),
        })
    }
}

wasip3::http::service::export!(Component);
