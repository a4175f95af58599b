//! One check, for any program, of what an instance's account promises. Whatever a guest asks for, and in whatever
//! order, the host counts no more than the limit, bounds its texts, and releases all of it in the end. The fuzz target
//! `guest` (`valor_runtime/fuzz`) calls [`check`] and watches the memory of the process meanwhile; a test runs it on
//! the corpus.

use super::{
    Pool,
    driver::{Recipe, Start},
    instance::Instance,
    module,
};
use crate::{
    Body, BoxFuture, Bytes, Chunk, Fault, Limits, Request, Response, Vlugin, account::Account,
};
use futures_lite::{StreamExt, future::block_on, stream};
use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};
use valor_abi_wire::{Host, LogRecord, lock::locked};

/// How much the host may hold for the guest.
const LIMIT: u64 = 1 << 20;

/// How much of the process's memory a check may take: what counts, copies of it on their way, wasmtime's part of an
/// instance, and a body of 2 MiB on the other side of a fetch. This is twice what any program has taken, and less than
/// an uncounted response of 8 MiB.
pub const BOUND: usize = 6 << 20;

/// How often each future is polled before the next one has its turn.
const POLLS: usize = 40;

/// Plays this program in the guest of `valor_runtime/fuzz/guest.wat`, which is `module`: with an instance for all
/// requests, and with one for each. The first byte says how the world around it behaves.
///
/// # Panics
/// If a promise is broken.
pub fn check(module: &[u8], program: &[u8]) {
    static SHARED: OnceLock<module::Checked> = OnceLock::new();
    static FROZEN: OnceLock<(module::Checked, Instant)> = OnceLock::new();
    let shared = SHARED
        .get_or_init(|| module::check(module, None, &Limits::default(), &|_| {}).expect("a guest"));
    let (frozen, begun) = FROZEN.get_or_init(|| frozen(module));
    let (world, program) = program.split_first().unwrap_or((&0, &[]));
    play(
        recipe(shared, Start::Create(b"{}".to_vec()), *world),
        *world,
        program,
    );
    play(
        recipe(frozen, Start::Frozen(*begun), *world),
        *world,
        program,
    );
}

fn recipe(module: &module::Checked, start: Start, world: u8) -> Arc<Recipe> {
    let limits = Limits {
        host_memory: Some(LIMIT),
        timers: Some(100),
        ..Limits::default()
    };
    Arc::new(Recipe {
        name: "guest".into(),
        module: module.clone(),
        host: Arc::new(World::new(world)),
        start,
        memory: 16 << 20,
        cpu: Duration::from_secs(10),
        account: Account::new(&limits),
    })
}

/// The guest as its creation leaves it.
fn frozen(module: &[u8]) -> (module::Checked, Instant) {
    let limits = Limits::default();
    let (module, original) = module::check_to_freeze(module, &limits, &|_| {}).expect("a guest");
    let start = Start::Freeze(b"{}".to_vec(), original, Mutex::default());
    let recipe = recipe(&module, start, 0);
    block_on(Instance::new(&recipe).created()).expect("created");
    let Start::Freeze(_, original, state) = &recipe.start else {
        unreachable!("it is a line above");
    };
    let state = locked(state).take().expect("it was created");
    let frozen = module::freeze(original, &state, &limits, &|_| {}).expect("a guest");
    (frozen, state.begun)
}

fn play(recipe: Arc<Recipe>, world: u8, program: &[u8]) {
    let account = recipe.account.clone();
    let pool = Arc::new(Pool {
        most: 1,
        instances: match recipe.start {
            Start::Frozen(_) => None,
            _ => Some(Mutex::new(vec![Instance::new(&recipe)])),
        },
        recipe,
    });
    let holds = || {
        let held = account.held();
        assert!(held <= LIMIT, "{held} bytes of {LIMIT}");
    };
    let mut cx = Context::from_waker(Waker::noop());
    let mut bodies = Vec::new();
    for number in 0..3 {
        let mut request = Request::new("POST", "/").expect("a sound request");
        request.body = match world & 1 << number {
            0 => Body::Bytes(Bytes::copy_from_slice(program)),
            _ => Body::stream(None, pieces(program)),
        };
        let mut answering = pool.clone().on_request(request);
        for _ in 0..POLLS {
            let polled = answering.as_mut().poll(&mut cx);
            holds();
            if let Poll::Ready(answer) = polled {
                bodies.extend(answer.ok().map(|response| response.body));
                break;
            }
        }
    }
    for body in &mut bodies {
        let Body::Stream { chunks, .. } = body else {
            continue;
        };
        for _ in 0..POLLS {
            let polled = chunks.poll_next(&mut cx);
            holds();
            if matches!(polled, Poll::Ready(None)) {
                break;
            }
        }
    }
    drop((bodies, pool));
    // Another thread may still be handling the instance's last event.
    for _ in 0..10_000 {
        if account.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("{} bytes are never released", account.held());
}

/// A body in small pieces.
fn pieces(
    bytes: &[u8],
) -> impl futures_core::Stream<Item = std::io::Result<Chunk>> + Send + 'static {
    let pieces: Vec<_> = bytes.chunks(100).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces).map(|piece| Ok(Chunk::Data(piece)))
}

/// A host whose answers are ready, late, large or missing, as its byte says.
struct World {
    kind: u8,
    asked: AtomicUsize,
}

impl World {
    fn new(kind: u8) -> Self {
        Self {
            kind,
            asked: AtomicUsize::new(0),
        }
    }

    fn answer(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let turn = self.asked.fetch_add(1, Ordering::Relaxed) + usize::from(self.kind >> 3);
        Box::pin(async move {
            if turn.is_multiple_of(3) {
                futures_lite::future::yield_now().await;
            }
            let mut response = Response::new(200);
            match turn % 7 {
                0 => std::future::pending().await,
                1 => return Err(Fault::refused(403, "x".repeat(100_000))),
                2 => response.body = Body::Bytes(vec![b'y'; 2 << 20].into()),
                3 => response.body = Body::Bytes(vec![b'y'; 1000].into()),
                4 => {
                    let piece = || Ok(Chunk::Data(vec![b'z'; 300_000].into()));
                    response.body = Body::stream(None, stream::repeat_with(piece).take(9));
                }
                // The request's body comes back, as from an echo.
                _ => response.body = request.body,
            }
            Ok(response)
        })
    }
}

impl Host for World {
    fn name(&self) -> &str {
        "guest"
    }

    fn log(&self, record: &LogRecord<'_>) {
        for text in [record.target, record.message, record.file] {
            assert!(text.len() < 20_000, "a text of {} bytes", text.len());
        }
    }

    fn max_level(&self) -> log::LevelFilter {
        log::LevelFilter::Off
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        self.answer(request)
    }

    fn call(&self, _: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        self.answer(request)
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(4);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_corpus_keeps_the_promises() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let module = wat::parse_file(fuzz.join("guest.wat")).unwrap();
        let mut count = 0;
        for entry in fs::read_dir(fuzz.join("corpus/guest")).unwrap() {
            let file = entry.unwrap().path();
            super::check(&module, &fs::read(&file).unwrap());
            count += 1;
        }
        assert!(count >= 15, "{count} files are no corpus");
    }
}
