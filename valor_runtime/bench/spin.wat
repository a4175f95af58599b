;; A vlugin that computes for most of a second and answers `hi`, written from docs/src/guest-abi.md.
(module
  (import "valor1" "ready" (func $ready (param i32 i32)))
  (import "valor1" "respond" (func $respond (param i32 i32 i32)))
  (memory (export "memory") 16)
  ;; 16 bytes: the head is 12 bytes long, the body's length is known, and is 2.
  (data (i32.const 0) "\0c\00\00\00\02\00\00\00\02\00\00\00\00\00\00\00")
  ;; The head: a response, HTTP/1.1, 200, no headers.
  (data (i32.const 16) "\02\0b\c8\00\00\00\00\00\00\00\00\00")
  (data (i32.const 28) "hi")
  (func (export "valor_abi") (result i32) i32.const 1)
  (func (export "valor_alloc") (param i32) (result i32) i32.const 4096)
  (func (export "valor_free") (param i32 i32))
  (func (export "valor_init") (param i32 i32)
    (call $ready (i32.const 0) (i32.const 0)))
  (func (export "valor_request") (param $id i32) (param i32 i32) (local $left i32)
    (local.set $left (i32.const 1000000000))
    (loop $on
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $on (local.get $left)))
    (call $respond (local.get $id) (i32.const 0) (i32.const 30)))
  (func (export "valor_body") (param i32 i32 i32 i32))
  (func (export "valor_fetch_response") (param i32 i32 i32))
  (func (export "valor_writable") (param i32 i32))
  (func (export "valor_timer") (param i32))
  (func (export "valor_cancel") (param i32))
  (func (export "valor_poll")))
