use super::*;
use crate::loader::engine::{engine, sound};
use proptest::prelude::*;
use wasmtime::{Engine, Module};

/// A module with one of everything that a snapshot keeps. What began it counts at address 0.
const WHOLE: &str = r#"(module
  (memory (export "memory") 2 9)
  (global $i (mut i32) (i32.const -1))
  (global $fixed i64 (i64.const 7))
  (global $l (mut i64) (i64.const -2))
  (global $f (mut f32) (f32.const 0.5))
  (global $d (mut f64) (f64.const nan:0x123))
  (global $v (mut v128) (v128.const i64x2 1 2))
  (export "snapshot 0" (global $fixed))
  (table 3 funcref)
  (elem (i32.const 1) $seven)
  (data (i32.const 70000) "active")
  (data $passive "passive")
  (func $seven (result i32) i32.const 7)
  (func $begin (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))))
  (start $begin)
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "grow") (param i32) (drop (memory.grow (local.get 0))))
  (func (export "set") (param i32 i64 f32 f64)
    (global.set $i (local.get 0))
    (global.set $l (local.get 1))
    (global.set $f (local.get 2))
    (global.set $d (local.get 3))
    (global.set $v (i64x2.splat (local.get 1))))
  (func (export "call") (result i32) (call_indirect (result i32) (i32.const 1)))
  (func (export "read_passive") (memory.init $passive (i32.const 8) (i32.const 0) (i32.const 7))))"#;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("sound text")
}

struct Begun {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

fn begin(engine: &Engine, module: &[u8]) -> Begun {
    sound::check(module).expect("a sound module");
    let module = Module::new(engine, module).expect("a module");
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(1 << 40);
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let memory = instance.get_memory(&mut store, "memory").expect("a memory");
    Begun {
        store,
        instance,
        memory,
    }
}

impl Begun {
    fn call<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        name: &str,
        params: P,
    ) -> wasmtime::Result<R> {
        let function = self
            .instance
            .get_typed_func::<P, R>(&mut self.store, name)?;
        function.call(&mut self.store, params)
    }

    fn state(&mut self, original: &Original) -> State {
        let Self {
            store,
            instance,
            memory,
        } = self;
        let state = original.state(store, instance, memory, Instant::now());
        state.expect("a state")
    }
}

/// The snapshot of a module after this was done with its instance, and the memory and the globals that it had then.
fn frozen(text: &str, done: impl FnOnce(&mut Begun)) -> (Original, Vec<u8>, Vec<u8>, String) {
    let engine = engine().unwrap();
    let (original, prepared) = Original::prepare(&wat(text)).unwrap();
    let mut begun = begin(engine, &prepared);
    done(&mut begun);
    let state = begun.state(&original);
    let memory = begun.memory.data(&begun.store).to_vec();
    let frozen = original.frozen(&state).unwrap();
    (original, frozen, memory, format!("{:?}", state.globals))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_instance_begins_as_the_first_one_was(
        pokes in prop::collection::vec((0u32..9 * 65536, 0u32..256), 0..40),
        grown in 0u32..9,
        (i, l, f, d) in (any::<i32>(), any::<i64>(), any::<u32>(), any::<u64>()),
    ) {
        let (original, module, memory, globals) = frozen(WHOLE, |begun| {
            begun.call::<_, ()>("grow", grown).unwrap();
            for poke in &pokes {
                // Some are beyond its end.
                let _ = begun.call::<_, ()>("poke", *poke);
            }
            let floats = (f32::from_bits(f), f64::from_bits(d));
            begun.call::<_, ()>("set", (i, l, floats.0, floats.1)).unwrap();
        });
        let engine = engine().unwrap();
        // What it exports is what the file exports.
        let exports = |bytes: &[u8]| {
            let module = Module::new(engine, bytes).unwrap();
            module.exports().map(|it| it.name().to_owned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(exports(&module), exports(&original.bytes));
        // A snapshot of the snapshot has the same state, and so has one of that.
        let (again, prepared) = Original::prepare(&module).unwrap();
        let mut second = begin(engine, &prepared);
        prop_assert!(second.memory.data(&second.store) == memory, "another memory");
        let state = second.state(&again);
        prop_assert_eq!(format!("{:?}", &state.globals), globals);
        prop_assert_eq!(state.globals.len(), 5);
        prop_assert_eq!(second.call::<_, i32>("call", ()).unwrap(), 7);
        second.call::<_, ()>("read_passive", ()).unwrap();
        prop_assert_eq!(&second.memory.data(&second.store)[8..15], b"passive");
        let third = begin(engine, &again.frozen(&state).unwrap());
        prop_assert!(third.memory.data(&third.store) == memory, "another memory");
    }
}

#[test]
fn a_module_without_data_or_globals_has_a_snapshot() {
    let text = r#"(module (memory (export "memory") 1)
      (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1))))"#;
    for pokes in [&[][..], &[(65535, 1)], &[(0, 1), (65535, 2)]] {
        let (_, module, memory, _) = frozen(text, |begun| {
            for poke in pokes {
                begun.call::<_, ()>("poke", *poke).unwrap();
            }
        });
        let begun = begin(engine().unwrap(), &module);
        assert!(begun.memory.data(&begun.store) == memory);
    }
}

#[test]
fn a_name_of_the_modules_own_is_never_taken() {
    let exports = r#"(export "snapshot " (func 0)) (export "snapshot   0" (func 0))"#;
    let text = format!(
        r#"(module (memory (export "memory") 1) (func) (global (mut i32) (i32.const 5)) {exports})"#
    );
    let (original, ..) = frozen(&text, |_| {});
    let module = Module::new(engine().unwrap(), wat(&text)).unwrap();
    let mut own = module.exports();
    assert!(own.all(|export| !original.globals.contains(&export.name().to_owned())));
}

#[test]
fn what_no_snapshot_holds_is_refused_with_its_name() {
    for (text, what) in [
        (
            "(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))",
            "`table.set`",
        ),
        (
            "(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
            "`table.grow`",
        ),
        (
            "(table 1 funcref) (func (table.fill (i32.const 0) (ref.null func) (i32.const 1)))",
            "`table.fill`",
        ),
        (
            "(table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))",
            "`table.copy`",
        ),
        (
            "(table 1 funcref) (elem func) (func (table.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))",
            "`table.init`",
        ),
        ("(elem func) (func (elem.drop 0))", "`elem.drop`"),
        (
            r#"(memory 1) (data "a") (func (data.drop 0))"#,
            "`data.drop`",
        ),
        (
            "(global (mut funcref) (ref.null func))",
            "a reference in a global",
        ),
        (
            r#"(import "a" "b" (memory 1))"#,
            "imports something else than functions",
        ),
    ] {
        let error = Original::prepare(&wat(&format!("(module {text})"))).err();
        let error = error.expect(text).to_string();
        for part in [what, r#"`"instance": "shared"`"#] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}

#[test]
fn nothing_of_what_is_not_a_module_panics() {
    let sound = wat(WHOLE);
    let (original, prepared) = Original::prepare(&sound).unwrap();
    let state = begin(engine().unwrap(), &prepared).state(&original);
    for cut in 8..sound.len() {
        let _ = Original::prepare(&sound[..cut]);
        let mut bytes = sound.clone();
        for flipped in [0x01, 0x80, 0xff] {
            bytes[cut] = sound[cut] ^ flipped;
            let Ok((damaged, _)) = Original::prepare(&bytes) else {
                continue;
            };
            // Whatever it would become, the compiler has the last word.
            let _ = damaged.frozen(&state);
        }
    }
}

#[test]
fn the_image_is_what_was_written_to() {
    let mut memory = vec![0; 4 * PAGE];
    assert_eq!(used(&memory), 0..0);
    memory[PAGE + 5] = 1;
    assert_eq!(used(&memory), PAGE..2 * PAGE);
    memory[3 * PAGE] = 1;
    assert_eq!(used(&memory), PAGE..4 * PAGE);
}
