//! Converts between a fault and an error of `http_types`, which is what an author's code sees.

use http_types as http;
use valor_abi_wire::Fault;

/// The error that a handler gets when its host refuses something or fails. The fault is inside.
pub fn to_http(fault: Fault) -> http::Error {
    let status =
        http::StatusCode::try_from(fault.status).unwrap_or(http::StatusCode::InternalServerError);
    http::Error::new(status, fault)
}

/// The fault for a handler's error. If the handler passes on a refusal of the host with `?`, its text names servers and
/// limits that the client should not see: it is the handler's failure, unless the handler gives it another status.
pub fn to_fault(error: http::Error) -> Fault {
    let status = error.status().into();
    let refusal = error.downcast_ref::<Fault>();
    let is_passed_on = refusal.is_some_and(|fault| fault.status == status);
    let status = if is_passed_on && status < 500 {
        500
    } else {
        status
    };
    Fault::error(status, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_is_passed_on_is_the_handlers_failure() {
        let passed = |status| to_fault(to_http(Fault::refused(status, "10.0.0.1 may not")));
        for (status, seen) in [(400, 500), (403, 500), (500, 500), (502, 502), (504, 504)] {
            let fault = passed(status);
            assert_eq!((fault.status, &*fault.message), (seen, "10.0.0.1 may not"));
        }
        let mut own = to_http(Fault::refused(403, "refused"));
        own.set_status(404);
        assert_eq!(to_fault(own).status, 404);
        let own = http::Error::from_str(403, "not for you");
        assert_eq!(to_fault(own).status, 403);
    }
}
