//! [`Control`]: where a process that Valor starts can reach Valor, and the resulting [`Link`].
//!
//! `process` binds one for each Deno before it starts it. A Unix socket in Valor's private folder needs no proof of who
//! connects. Any program on the machine can connect to a loopback port, so there only a peer that sends the secret
//! first is heard. The process gets the secret over its standard input, which no process list shows, and so the key for
//! the messages on the link (`sealed`).

use super::sealed::Key;
use crate::hex::hex;
#[cfg(unix)]
use crate::private_dir;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
#[cfg(unix)]
use smol::net::unix::UnixListener;
use smol::{
    channel::unbounded,
    net::{TcpListener, TcpStream},
    process::ChildStdin,
};
use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// How Valor and its processes communicate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Over sockets in a folder that only Valor can use.
    #[cfg(unix)]
    #[default]
    Unix,
    /// Over loopback ports, with a secret.
    #[cfg_attr(not(unix), default)]
    Tcp,
}

/// The messages from a process, and those to it.
pub(super) struct Link {
    pub(super) said: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) told: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Link {
    fn new<T>(stream: T) -> Self
    where
        T: AsyncRead + AsyncWrite + Clone + Send + Unpin + 'static,
    {
        Self {
            said: Box::new(stream.clone()),
            told: Box::new(stream),
        }
    }
}

/// Where Valor waits for a process.
pub(super) enum Control {
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        path: PathBuf,
    },
    Tcp {
        listener: TcpListener,
        port: u16,
        secret: String,
    },
}

impl Control {
    #[cfg_attr(not(unix), expect(unused_variables, reason = "a port is in no folder"))]
    pub(super) async fn bind(transport: Transport, dir: &Path) -> io::Result<Self> {
        match transport {
            #[cfg(unix)]
            Transport::Unix => {
                let path = dir.join("control");
                let listener = private_dir::listen(&path)
                    .and_then(|listener| smol::Async::new(listener).map(UnixListener::from));
                let listener = listener.map_err(|error| {
                    // The longest address of a Unix socket that the system takes, with its terminator.
                    const LONGEST: usize = 104;
                    // The same line for every script, so it does not name this one's folder.
                    io::Error::other(match path.as_os_str().len() >= LONGEST {
                        true => format!(
                            "the path of the temporary folder {} is too long for a socket in it: set TMPDIR to a \
                             shorter one",
                            std::env::temp_dir().display()
                        ),
                        false => format!("{} cannot be bound: {error}", path.display()),
                    })
                })?;
                Ok(Self::Unix { listener, path })
            }
            Transport::Tcp => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                Ok(Self::Tcp {
                    port: listener.local_addr()?.port(),
                    listener,
                    secret: random()?,
                })
            }
        }
    }

    /// The argument for the supervisor: a path, or a port.
    pub(super) fn argument(&self) -> String {
        match self {
            #[cfg(unix)]
            Self::Unix { path, .. } => path.to_string_lossy().into_owned(),
            Self::Tcp { port, .. } => port.to_string(),
        }
    }

    /// The socket of a slot, if it has a name before anything listens there.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "a port is in no folder"))]
    pub(super) fn socket(&self, dir: &Path, slot: usize) -> Option<PathBuf> {
        match self {
            #[cfg(unix)]
            Self::Unix { .. } => Some(dir.join(slot.to_string())),
            Self::Tcp { .. } => None,
        }
    }

    /// What a process first reads from its standard input: its key, and the secret if there is one.
    pub(super) async fn tell(&self, key: &Key, stdin: Option<ChildStdin>) -> io::Result<()> {
        let Some(mut stdin) = stdin else {
            return Ok(());
        };
        stdin.write_all(key.told().as_bytes()).await?;
        if let Self::Tcp { secret, .. } = self {
            stdin.write_all(secret.as_bytes()).await?;
        }
        stdin.close().await
    }

    /// Waits for the process, and refuses other peers.
    pub(super) async fn accept(&self) -> io::Result<Link> {
        match self {
            #[cfg(unix)]
            Self::Unix { listener, .. } => Ok(Link::new(listener.accept().await?.0)),
            Self::Tcp {
                listener, secret, ..
            } => {
                let (known, knows) = unbounded();
                let mut asked = Vec::new();
                let accepting = async {
                    loop {
                        let mut stream = match listener.accept().await {
                            Ok((stream, _)) => stream,
                            // It disconnected before it was checked.
                            Err(error) if is_gone(&error) => continue,
                            Err(error) => return Err(error),
                        };
                        let (known, secret) = (known.clone(), secret.clone());
                        // Concurrently: a silent peer does not keep others from being heard.
                        asked.push(smol::spawn(async move {
                            if says(&mut stream, &secret).await {
                                let _ = known.try_send(stream);
                            }
                        }));
                    }
                };
                let known = async { knows.recv().await.map_err(io::Error::other) };
                let stream = future::or(known, accepting).await?;
                stream.set_nodelay(true)?;
                Ok(Link::new(stream))
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset)
}

/// Whether the first line is the secret.
async fn says(stream: &mut TcpStream, secret: &str) -> bool {
    let expected = format!("{secret}\n");
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said).await.is_ok()
        && subtle::ConstantTimeEq::ct_eq(&*said, expected.as_bytes()).into()
}

/// 128 random bits that nobody can guess, in hexadecimal digits.
pub(super) fn random() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&random))
}
