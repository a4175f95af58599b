//! The clients: idle, slow and busy ones, on one thread. Each is a task that begins again when its connection has
//! ended as it should. What they see is counted.

use crate::server::{BODY, HEAD, IDLE, SLACK};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smol::{Async, Executor, Timer, channel, lock::Semaphore};
use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How many clients there are, and where.
pub struct Load {
    pub addr: SocketAddr,
    pub idle: usize,
    pub slow: usize,
    pub busy: usize,
    /// The pause between two requests of a busy client.
    pub pause: Duration,
}

/// What the clients saw.
#[derive(Default)]
pub struct Seen {
    answered: AtomicU64,
    closed: AtomicU64,
    timed_out: AtomicU64,
    faults: Mutex<Vec<String>>,
}

/// After this many faults, nobody needs another.
const FAULTS: usize = 1000;

impl Seen {
    fn faulty(&self) -> MutexGuard<'_, Vec<String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, what: String) {
        let mut faults = self.faulty();
        if faults.len() < FAULTS {
            faults.push(what);
        }
    }

    /// Everything that went wrong. Each of the slow clients must have been answered.
    pub fn faults(&self, slow: usize) -> Vec<String> {
        let mut faults = self.faulty().clone();
        let answered = self.timed_out.load(Ordering::Relaxed);
        if answered < slow as u64 {
            faults.push(format!(
                "of {slow} slow clients {answered} were answered 408"
            ));
        }
        faults
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests answered, {} idle connections closed, {} slow ones answered 408, {} faults",
            self.answered.load(Ordering::Relaxed),
            self.closed.load(Ordering::Relaxed),
            self.timed_out.load(Ordering::Relaxed),
            self.faulty().len(),
        )
    }
}

/// The clients at work. They end when this is dropped.
pub struct Clients {
    seen: Arc<Seen>,
    stop: Option<channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clients {
    pub fn start(load: Load) -> Self {
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = channel::bounded::<()>(1);
        let counters = seen.clone();
        let thread = std::thread::spawn(move || {
            let executor = Executor::new();
            let client = Arc::new(Client {
                // The system's queue of clients to accept is short.
                connecting: Semaphore::new(64),
                seen: counters,
                load,
            });
            let load = &client.load;
            for _ in 0..load.idle {
                executor.spawn(client.clone().idle()).detach();
            }
            for number in 0..load.slow {
                executor
                    .spawn(client.clone().slow(number % 2 == 0))
                    .detach();
            }
            for number in 0..load.busy {
                executor.spawn(client.clone().busy(number)).detach();
            }
            future::block_on(executor.run(async {
                let _ = stopped.recv().await;
            }));
        });
        Self {
            seen,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn seen(&self) -> Arc<Seen> {
        self.seen.clone()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Client {
    connecting: Semaphore,
    seen: Arc<Seen>,
    load: Load,
}

const GET: &[u8] = b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n";

impl Client {
    async fn connect(&self) -> io::Result<Async<TcpStream>> {
        let _turn = self.connecting.acquire().await;
        let stream = Async::<TcpStream>::connect(self.load.addr).await?;
        stream.get_ref().set_nodelay(true)?;
        Ok(stream)
    }

    /// Records a client's fault, and waits a little before the client begins again.
    async fn noted(&self, kind: &str, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.seen.fault(format!("{kind}: {what}"));
            Timer::after(Duration::from_secs(1)).await;
        }
    }

    /// Sends one request, and then says nothing until the server closes.
    async fn idle(self: Arc<Self>) {
        loop {
            let outcome = self.be_idle().await;
            self.noted("idle", outcome).await;
        }
    }

    async fn be_idle(&self) -> Result<(), String> {
        let mut stream = self.connect().await.map_err(|e| e.to_string())?;
        exchange(&mut stream, GET)
            .await
            .map_err(|e| e.to_string())?;
        let since = Instant::now();
        let mut byte = [0];
        let closed = stream.read(&mut byte);
        let amount = in_time(IDLE + SLACK, closed).await?;
        if amount > 0 {
            return Err("the server spoke first".to_owned());
        }
        if since.elapsed() < IDLE / 2 {
            return Err(format!("closed after {:?}", since.elapsed()));
        }
        self.seen.closed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a byte per second, of a head or of a body, until the answer is 408.
    async fn slow(self: Arc<Self>, of_head: bool) {
        loop {
            let outcome = self.be_slow(of_head).await;
            self.noted("slow", outcome).await;
        }
    }

    async fn be_slow(&self, of_head: bool) -> Result<(), String> {
        let (begin, limit): (&[u8], _) = match of_head {
            true => (b"GET /hello HTTP/1.1\r\nx: ", HEAD),
            false => (
                b"POST /sink HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n",
                BODY,
            ),
        };
        let stream = self.connect().await.map_err(|e| e.to_string())?;
        (&stream)
            .write_all(begin)
            .await
            .map_err(|e| e.to_string())?;
        let drip = async {
            loop {
                Timer::after(Duration::from_secs(1)).await;
                if (&stream).write_all(b"x").await.is_err() {
                    // The answer is there to be read.
                    return future::pending().await;
                }
            }
        };
        let answer = async {
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                let mut buf = [0; 1024];
                match (&stream).read(&mut buf).await? {
                    0 => break,
                    amount => answer.extend_from_slice(&buf[..amount]),
                }
            }
            Ok(answer)
        };
        let answer = in_time(limit + SLACK, future::or(answer, drip)).await?;
        if !answer.starts_with(b"HTTP/1.1 408 ") {
            return Err(format!(
                "it was told {:?}",
                answer.escape_ascii().to_string()
            ));
        }
        self.seen.timed_out.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sends one request after the other, on a connection that must last.
    async fn busy(self: Arc<Self>, number: usize) {
        loop {
            let outcome = self.be_busy(number).await.map_err(|e| e.to_string());
            self.noted("busy", outcome).await;
        }
    }

    async fn be_busy(&self, number: usize) -> io::Result<()> {
        let mut stream = self.connect().await?;
        let body = vec![b'a' + (number % 26) as u8; number * 300];
        let post = format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let post = [post.as_bytes(), &body].concat();
        loop {
            for _ in 0..9 {
                let answer = exchange(&mut stream, GET).await?;
                self.is("hello", answer == b"hello")?;
                Timer::after(self.load.pause).await;
            }
            let answer = exchange(&mut stream, &post).await?;
            self.is("an echo", answer == body)?;
        }
    }

    fn is(&self, what: &str, so: bool) -> io::Result<()> {
        if !so {
            return Err(io::Error::other(format!("the answer is not {what}")));
        }
        self.seen.answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

async fn in_time<T>(
    limit: Duration,
    what: impl Future<Output = io::Result<T>>,
) -> Result<T, String> {
    let late = async {
        Timer::after(limit).await;
        Err(io::Error::other(format!("it is held after {limit:?}")))
    };
    future::or(what, late).await.map_err(|e| e.to_string())
}

/// Sends a request and reads the body of its response, which must be a 200 with a length.
async fn exchange(stream: &mut Async<TcpStream>, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    let (mut read, mut buf) = (Vec::new(), [0; 4096]);
    let (end, length) = loop {
        match stream.read(&mut buf).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            amount => read.extend_from_slice(&buf[..amount]),
        }
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]);
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.parse::<usize>().ok());
            match length {
                Some(length) if head.starts_with("HTTP/1.1 200 ") => break (end + 4, length),
                _ => return Err(io::Error::other(head.into_owned())),
            }
        }
    };
    while read.len() < end + length {
        match stream.read(&mut buf).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            amount => read.extend_from_slice(&buf[..amount]),
        }
    }
    Ok(read.split_off(end))
}
