//! Libraries of another version of `valor_abi`: of the same ABI, and of another.

use super::{copies::Copy, *};
use valor_runtime::Request;

/// What a vlugin of `fixtures/another_abi` answers to a body in two pieces.
fn conversation(vlugin: &Arc<dyn Vlugin>) -> String {
    use valor::wire::{Body, Bytes, Chunk};
    let pieces = ["one", "two"].map(|piece| Ok(Chunk::Data(Bytes::from_static(piece.as_bytes()))));
    let mut request = Request::new("POST", "/").unwrap();
    request.body = Body::stream(Some(6), futures_lite::stream::iter(pieces));
    smol::block_on(async {
        let response = vlugin.clone().on_request(request).await.unwrap();
        let body = response.body.bytes(1 << 10).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    })
}

#[test]
fn another_version_of_the_crate_with_the_same_abi_is_loaded() {
    let copy = Copy {
        name: "abi_renumbered",
        version: "7.3.1",
        edits: &[],
    };
    let host = TestHost::new("tested");
    let definition = definition_of(&copy.plugin());
    let loaded = smol::block_on(loader_in(Path::new("")).load(&definition, false, host.clone()));
    let loaded = loaded.unwrap();
    assert_eq!(loaded.metadata.version, "7.3.1");
    assert_eq!(conversation(&loaded.vlugin), "tested heard onetwo");
    assert_eq!(*host.log.lock().unwrap(), ["INFO heard onetwo"]);
}
