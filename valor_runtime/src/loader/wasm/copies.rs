//! What a guest hands over, copied out of its memory: messages, faults, pieces of bodies.
//!
//! `imports` calls these. They copy nothing before the instance's account has counted it, and cut texts for people to
//! a readable length. An error is a trap.

use super::{
    pieces::Piece,
    shared::ENTRY,
    text::{self, cut},
};
use crate::{
    Bytes, Fault, FaultKind, RequestHead, ResponseHead,
    account::{Account, Charge},
};
use valor_abi_guest::message::{self, Brought, PieceKind};

/// The longest head that a guest may hand over.
const HEAD: usize = 64 * 1024;

/// The most that reading trailers takes, as a multiple of their length: each may be one byte, and becomes two
/// allocations.
const TRAILERS: usize = 16;

/// A request's head, its body, and the head's charge, which includes `more` bytes. The body holds its own charge.
pub(super) fn request(
    account: &Account,
    message: &[u8],
    more: usize,
) -> wasmtime::Result<(RequestHead, Brought, Charge)> {
    let charge = account.charge(more + message::head_len(message))?;
    let block = account.charge(message.len())?.holding(message.to_vec());
    let (head, body) = message::decode_request(block)?;
    bounded(head.as_bytes())?;
    Ok((head, body, charge))
}

/// A response, or the fault that replaces it.
type Answer = Result<(ResponseHead, Brought), Fault>;

/// A guest's answer and its head's charge. The body holds its own charge.
pub(super) fn response(account: &Account, message: &[u8]) -> wasmtime::Result<(Answer, Charge)> {
    let charge = account.charge(ENTRY + message::head_len(message))?;
    let block = account.charge(message.len())?.holding(message.to_vec());
    let response = message::decode_response(block)?.map_err(of_guest);
    if let Ok((head, _)) = &response {
        bounded(head.as_bytes())?;
    }
    Ok((response, charge))
}

fn bounded(head: &[u8]) -> wasmtime::Result<()> {
    let len = head.len();
    wasmtime::ensure!(
        len <= HEAD,
        "a head of {len} bytes; a vlugin's has at most {HEAD}"
    );
    Ok(())
}

/// A fault.
pub(super) fn fault(account: &Account, block: &[u8]) -> wasmtime::Result<Fault> {
    let _copied = account.charge(block.len())?;
    Ok(of_guest(message::decode_fault(block)?))
}

/// A fault as the host passes it on. Only the host says that something takes too long (`limits`): if a guest says so,
/// that is an error like any other.
fn of_guest(fault: Fault) -> Fault {
    let short = |text: &str, most| cut(text.as_bytes(), most).into_owned();
    Fault {
        message: short(&fault.message, text::MESSAGE),
        place: fault.place.map(|place| short(&place, text::NAME)),
        kind: match fault.kind {
            FaultKind::Timeout => FaultKind::Error,
            kind => kind,
        },
        ..fault
    }
}

/// A piece of a body.
pub(super) fn piece(account: &Account, bytes: &[u8], kind: PieceKind) -> wasmtime::Result<Piece> {
    let charge = |bytes: usize| account.charge(ENTRY + bytes);
    Ok(match kind {
        PieceKind::Data => Piece::Data(charge(bytes.len())?.holding(bytes.to_vec())),
        PieceKind::End if bytes.is_empty() => Piece::End(Bytes::new()),
        PieceKind::End => Piece::End(charge(bytes.len())?.holding(bytes.to_vec())),
        PieceKind::Trailers => {
            let charge = charge(bytes.len().saturating_mul(TRAILERS))?;
            Piece::Trailers(message::decode_trailers(bytes)?, charge)
        }
        PieceKind::Failed => {
            let charge = charge(bytes.len().min(text::MESSAGE))?;
            Piece::Failed(cut(bytes, text::MESSAGE).into_owned(), charge)
        }
    })
}
