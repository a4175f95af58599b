//! The options of Unix sockets: their mode and owners.

use clap::Args;
use valor_runtime::server::SocketAccess;

/// The mode and owners of the Unix sockets of `--addr`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Unix sockets")]
pub struct SocketArgs {
    /// Permissions of the Unix sockets, in octal; to connect, a program needs write permission [default: 0660]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub socket_mode: Option<u32>,

    /// The user that owns the Unix sockets, a name or a number; only root may give them away
    #[arg(long, value_name = "USER", value_parser = ids::user)]
    pub socket_owner: Option<u32>,

    /// The group that owns the Unix sockets, a name or a number, such as that of a proxy in front
    #[arg(long, value_name = "GROUP", value_parser = ids::group)]
    pub socket_group: Option<u32>,
}

impl SocketArgs {
    /// For the server.
    pub fn access(&self) -> SocketAccess {
        SocketAccess {
            mode: self.socket_mode.unwrap_or(0o660),
            owner: self.socket_owner,
            group: self.socket_group,
        }
    }

    /// The first of these options that is given.
    pub fn given(&self) -> Option<&'static str> {
        let mode = self.socket_mode.map(|_| "--socket-mode");
        let owner = self.socket_owner.map(|_| "--socket-owner");
        mode.or(owner)
            .or(self.socket_group.map(|_| "--socket-group"))
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "permissions are three octal digits, such as 0660 or 0666".into())
}

/// Numbers of users and groups by their names.
#[cfg(unix)]
mod ids {
    pub fn user(text: &str) -> Result<u32, String> {
        id(text, "user", |name| {
            Some(uzers::get_user_by_name(name)?.uid())
        })
    }

    pub fn group(text: &str) -> Result<u32, String> {
        id(text, "group", |name| {
            Some(uzers::get_group_by_name(name)?.gid())
        })
    }

    fn id(text: &str, what: &str, find: impl FnOnce(&str) -> Option<u32>) -> Result<u32, String> {
        let id = text.parse().ok().or_else(|| find(text));
        id.ok_or_else(|| format!("this system has no {what} of that name"))
    }
}

#[cfg(not(unix))]
mod ids {
    const NONE: &str = "Valor has no Unix sockets on this system";

    pub fn user(_: &str) -> Result<u32, String> {
        Err(NONE.into())
    }

    pub fn group(_: &str) -> Result<u32, String> {
        Err(NONE.into())
    }
}
