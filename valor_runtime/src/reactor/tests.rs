//! Tests of what both reactors promise.

use super::portable::Source as Portable;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, future};
use std::{
    io::{self, IoSlice, Read, Write},
    os::unix::net::UnixStream,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Duration,
};

macro_rules! promises {
    ($name:ident, $reactor:ident) => {
        mod $name {
            use super::{super::$reactor::*, *};

            struct Turning(Arc<Reactor>, Arc<AtomicBool>, Option<JoinHandle<()>>);

            impl Turning {
                fn new() -> Self {
                    let reactor = Arc::new(Reactor::new().unwrap());
                    let stop = Arc::new(AtomicBool::new(false));
                    let (turned, stopped) = (reactor.clone(), stop.clone());
                    let thread = thread::spawn(move || {
                        let mut events = Events::default();
                        while !stopped.load(Ordering::Acquire) {
                            turned.wait(&mut events, None);
                        }
                    });
                    Self(reactor, stop, Some(thread))
                }

                fn pair(&self) -> (Source<UnixStream>, Source<UnixStream>) {
                    let (one, other) = UnixStream::pair().unwrap();
                    let source = |stream: UnixStream| {
                        stream.set_nonblocking(true).unwrap();
                        Source::new(&self.0, stream).unwrap()
                    };
                    (source(one), source(other))
                }
            }

            impl Drop for Turning {
                fn drop(&mut self) {
                    self.1.store(true, Ordering::Release);
                    self.0.wake();
                    self.2.take().map(JoinHandle::join).transpose().unwrap();
                    self.0.close();
                    assert_eq!(self.0.sources(), 0);
                }
            }

            #[test]
            fn bytes_go_both_ways_under_back_pressure() {
                let turning = Turning::new();
                let (mut one, mut other) = turning.pair();
                assert!(one.get_ref().peer_addr().unwrap().is_unnamed());
                let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
                let mut seen = Vec::new();
                future::block_on(async {
                    let write = async {
                        one.write_all(&sent).await.unwrap();
                        drop(one);
                    };
                    let read = async {
                        let mut buf = [0; 7001];
                        loop {
                            match other.read(&mut buf).await.unwrap() {
                                0 => break,
                                amount => seen.extend_from_slice(&buf[..amount]),
                            }
                        }
                    };
                    future::zip(write, read).await
                });
                assert!(seen == sent);
            }

            #[test]
            fn an_end_that_comes_with_the_last_bytes_is_seen() {
                let turning = Turning::new();
                for _ in 0..200 {
                    let (mut one, mut other) = turning.pair();
                    future::block_on(async {
                        // The reader waits first, so that bytes and end arrive as one event or as two.
                        let mut buf = [0; 100];
                        let read = async {
                            assert_eq!(other.read(&mut buf).await.unwrap(), 4);
                            assert_eq!(other.read(&mut buf).await.unwrap(), 0);
                        };
                        let write = async {
                            future::yield_now().await;
                            one.write_all(b"last").await.unwrap();
                            drop(one);
                        };
                        future::zip(read, write).await;
                    });
                }
            }

            #[test]
            fn a_wait_ends_when_somebody_wakes_or_the_time_is_over() {
                let reactor = Reactor::new().unwrap();
                let mut events = Events::default();
                for _ in 0..3 {
                    reactor.wake();
                    reactor.wait(&mut events, None);
                }
                reactor.wait(&mut events, Some(Duration::from_millis(1)));
            }

            #[test]
            fn a_task_that_stops_to_wait_leaves_the_next_one_its_place() {
                let turning = Turning::new();
                let (mut one, mut other) = turning.pair();
                future::block_on(async {
                    let mut buf = [0; 4];
                    let waits = async {
                        other.read(&mut buf).await.unwrap();
                        true
                    };
                    assert!(!waits.or(future::ready(false)).await);
                    one.write_all(b"next").await.unwrap();
                    other.read_exact(&mut buf).await.unwrap();
                    assert_eq!(&buf, b"next");
                });
            }
        }
    };
}

promises!(of_epoll, epoll);
promises!(of_portable, portable);
stream!(Portable);
