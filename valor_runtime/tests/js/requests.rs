//! Requests and responses: what a script is given, and what of its answer arrives.

use crate::House;
use serde_json::json;
use smol::block_on;

#[test]
fn both_forms_answer() {
    let house = House::new(&[
        (
            "a.js",
            "export default { fetch(request) { return new Response(`a at ${new URL(request.url).pathname}`) } }",
        ),
        (
            "b.ts",
            "addEventListener('fetch', (event: any) => event.respondWith(new Response(`b ${event.request.method as string}`)));",
        ),
    ]);
    block_on(async {
        house.load(json!({ "name": "a" })).await.unwrap();
        house
            .load(json!({ "name": "b", "prefix": "/x/b" }))
            .await
            .unwrap();
        assert_eq!(house.get("/a/b/c?d").await, (200, "a at /b/c".into()));
        assert_eq!(house.get("/x/b").await, (200, "b GET".into()));
    });
}
