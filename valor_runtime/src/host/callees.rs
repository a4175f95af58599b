//! What a vlugin may `call`: the `callees` of its definition, judged here and nowhere else.
//!
//! A callee is another vlugin, or one of those that the host itself offers, whose names begin with `_`. Unless a
//! definition says otherwise, a vlugin may call every other one and nothing of the host's: what the host offers is
//! granted by name. Whatever kind the caller is, its calls come through the [`RuntimeHost`](super::RuntimeHost), which
//! asks here; `dispatch` finds the callee then.

use crate::{
    BoxFuture, Fault, Request, Response, Vlugin, definition::broken_name, in_band::CALLER,
};
use std::sync::Arc;

/// Stands for every vlugin in `callees`.
const EVERY: &str = "*";

/// What one vlugin may call.
#[derive(Clone)]
pub struct Callees {
    /// Everything by name: `/NAME/path`.
    all: Arc<dyn Vlugin>,
    /// The names that are granted; `None` for every vlugin.
    granted: Option<Arc<[String]>>,
    /// The names of what the host offers.
    offered: Arc<[String]>,
}

/// A name in `callees` that the host does not offer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`callees` names `{name}`, which this host does not offer; {}",
    Offered(offered)
)]
pub struct CalleesError {
    /// The name.
    pub name: String,
    /// What it offers.
    pub offered: Arc<[String]>,
}

struct Offered<'a>(&'a [String]);

impl std::fmt::Display for Offered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names = self.0.iter();
        match names.next() {
            Some(first) => write!(f, "name one that it offers, `{first}`")?,
            None => return f.write_str("it offers nothing: take the name out"),
        }
        names.try_for_each(|name| write!(f, ", `{name}`"))?;
        f.write_str(", or take the name out")
    }
}

impl Callees {
    /// Every vlugin. `all` answers a request to `/NAME/path` as the vlugin `NAME`, to the path behind the name;
    /// `offered` are the names in it that are the host's.
    pub fn new(all: Arc<dyn Vlugin>, offered: impl IntoIterator<Item = String>) -> Self {
        Self {
            all,
            granted: None,
            offered: offered.into_iter().collect(),
        }
    }

    /// The same, for a vlugin whose definition has these `callees`.
    ///
    /// # Errors
    /// One of them would be the host's, which offers none of that name.
    pub fn granting(&self, callees: Option<&[String]>) -> Result<Self, CalleesError> {
        let mut names = callees.into_iter().flatten();
        if let Some(name) = names.find(|name| is_of_host(name) && !self.offered.contains(name)) {
            return Err(CalleesError {
                name: name.clone(),
                offered: self.offered.clone(),
            });
        }
        Ok(Self {
            granted: callees.map(Arc::from),
            ..self.clone()
        })
    }

    /// Hands a request to a callee. What the host offers reads the caller's name in it; nobody else may put one there.
    pub(super) fn call(
        &self,
        caller: &str,
        callee: &str,
        mut request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        if !is_name(callee) {
            // As for any other name that nobody has. To add this one to `callees` would be a fault.
            let response = Response::problem(404, &format!("no vlugin is named `{callee}`"));
            return Box::pin(async { Ok(response) });
        }
        if !self.grants(callee) {
            let line = format!(
                "`{callee}` may not be called: add \"{callee}\" to this vlugin's `callees`"
            );
            return Box::pin(async { Err(Fault::refused(403, line)) });
        }
        let head = &mut request.head;
        let slash = if head.target().starts_with('/') {
            ""
        } else {
            "/"
        };
        let target = format!("/{callee}{slash}{}", head.target());
        head.remove(CALLER);
        let named = match is_of_host(callee) {
            true => head.push(CALLER, caller.as_bytes()),
            false => Ok(()),
        };
        if let Err(error) = named.and_then(|()| head.set_target(&target)) {
            return Box::pin(async move { Err(Fault::refused(400, error.to_string())) });
        }
        self.all.clone().on_request(request)
    }

    /// Whether it may be called. A vlugin that does not exist is not refused.
    fn grants(&self, callee: &str) -> bool {
        let names = |granted: &[String]| granted.iter().any(|name| name == callee);
        match &self.granted {
            _ if is_of_host(callee) && !self.offers(callee) => true,
            None => !is_of_host(callee),
            Some(granted) if is_of_host(callee) => names(granted),
            Some(granted) => names(granted) || granted.iter().any(|name| name == EVERY),
        }
    }

    fn offers(&self, callee: &str) -> bool {
        self.offered.iter().any(|name| name == callee)
    }
}

/// Whether anything can have this name: a vlugin, or what a host offers.
fn is_name(callee: &str) -> bool {
    broken_name(callee.strip_prefix('_').unwrap_or(callee)).is_none()
}

/// Whether a name is one of those that no vlugin of a definition has.
fn is_of_host(name: &str) -> bool {
    name.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::from_fn;

    fn callees() -> Callees {
        let nobody = from_fn(|_| async { Ok(Response::new(204)) });
        Callees::new(nobody, ["_echo".to_owned(), "_state".to_owned()])
    }

    #[test]
    fn what_is_granted() {
        type Names = &'static [&'static str];
        let lists: [(Option<Names>, Names, Names); 5] = [
            (None, &["a", "b"], &["_echo", "_state"]),
            (Some(&[]), &[], &["a", "_echo"]),
            (Some(&["a"]), &["a"], &["b", "_echo"]),
            (Some(&["*"]), &["a", "b"], &["_echo"]),
            (
                Some(&["_echo", "a"]),
                &["a", "_echo"],
                &["b", "_state", "echo"],
            ),
        ];
        for (list, granted, others) in lists {
            let list: Option<Vec<_>> =
                list.map(|it| it.iter().map(|it| (*it).to_owned()).collect());
            let callees = callees().granting(list.as_deref()).unwrap();
            for name in granted {
                assert!(callees.grants(name), "{list:?}: {name}");
            }
            for name in others {
                assert!(!callees.grants(name), "{list:?}: {name}");
            }
            // Nobody has these; whoever asks hears that.
            assert!(callees.grants("_health") && callees.grants("_"));
        }
    }

    /// No advice is given to grant it, since no definition can.
    #[test]
    fn a_name_that_nothing_can_have_is_nobodys() {
        let callees = callees().granting(Some(&[])).unwrap();
        let status = |name: &str| {
            let request = Request::new("GET", "/").unwrap();
            let answer = smol::block_on(callees.call("a", name, request));
            answer.map_or_else(|fault| fault.status, |response| response.head.status())
        };
        for name in ["", "*", "_", "__a", ".a", "a/b", "../a", "a b", "a?", "ä"] {
            assert_eq!(status(name), 404, "{name}");
        }
        for name in ["a", "_echo"] {
            assert_eq!(status(name), 403, "{name}");
        }
    }

    #[test]
    fn what_is_not_offered_cannot_be_granted() {
        let error = |callees: &Callees| {
            let list = ["a".to_owned(), "_none".to_owned()];
            callees
                .granting(Some(&list))
                .err()
                .expect("not offered")
                .to_string()
        };
        assert_eq!(
            error(&callees()),
            "`callees` names `_none`, which this host does not offer; name one that it offers, `_echo`, `_state`, or \
             take the name out"
        );
        let none = Callees::new(callees().all, []);
        assert_eq!(
            error(&none),
            "`callees` names `_none`, which this host does not offer; it offers nothing: take the name out"
        );
    }
}
