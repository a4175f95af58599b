//! Errors that have their own status: what a handler's `Result` becomes in each form, and that other errors stay what
//! they were.

#![allow(missing_docs)] // It is written as authors write.

use std::fmt;
use valor::*;

#[derive(Debug)]
pub enum Failure {
    Taken,
    Teapot,
    Broken(std::io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("the name is taken"),
            Self::Teapot => f.write_str("short and stout"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

// Which makes it an `http::Error` of status 500 for everyone else.
impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error)
    }
}

impl ResponseError for Failure {
    fn status(&self) -> http::StatusCode {
        match self {
            Self::Taken => http::StatusCode::Conflict,
            Self::Teapot => http::StatusCode::ImATeapot,
            Self::Broken(_) => http::StatusCode::InternalServerError,
        }
    }

    fn response(self) -> http::Result<http::Response> {
        match self {
            Self::Teapot => (self.status(), Json("short and stout")).into_response(),
            other => Err(other.into_error()),
        }
    }
}

type Answered<T> = Result<T, Failure>;

#[vlugin]
pub async fn on_create(_: &mut Context) {}

pub async fn on_request(req: http::Request) -> Answered<Option<&'static str>> {
    match req.url().path() {
        "/taken" => Err(Failure::Taken),
        "/teapot" => Err(Failure::Teapot),
        "/broken" => Err(std::io::Error::other("the disk is full"))?,
        "/none" => Ok(None),
        _ => Ok(Some("well")),
    }
}

#[test]
fn a_result_has_the_status_of_its_error() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin.get("/").assert_status(200).assert_body("well");
    vlugin.get("/none").assert_status(404);
    vlugin
        .get("/taken")
        .assert_status(409)
        .assert_header("content-type", "application/problem+json")
        .assert_fault("the name is taken");
    let broken = vlugin.get("/broken").assert_status(500);
    assert!(
        !broken
            .assert_fault("the disk is full")
            .text()
            .contains("disk")
    );
}

#[test]
fn an_error_may_be_any_response() {
    testing::create(VLUGIN, ())
        .get("/teapot")
        .assert_status(418)
        .assert_json(serde_json::json!("short and stout"));
}

#[test]
fn elsewhere_it_is_an_error_as_any_other() {
    let plain = Err::<(), _>(Failure::Taken).into_response().unwrap_err();
    assert_eq!(plain.status(), 500);
    let taken = || -> Answered<()> { Err(Failure::Taken) };
    let asked = || -> http::Result<()> {
        taken().map_err(ResponseError::into_error)?;
        Ok(())
    };
    let error = asked().unwrap_err();
    assert_eq!(
        (error.status(), error.to_string()),
        (http::StatusCode::Conflict, "the name is taken".into())
    );
}
