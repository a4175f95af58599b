//! A WebSocket (RFC 6455) that sends each message back. The crate `async-tungstenite` speaks the protocol on the
//! connection that the host provides.

use async_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error,
        error::ProtocolError,
        handshake::derive_accept_key,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{Frame, coding::CloseCode},
        },
    },
};
use futures_lite::{AsyncWriteExt, StreamExt};
use valor::*;

/// Larger messages end the conversation, because each is held in memory as a whole.
const LARGEST: usize = 16 * 1024 * 1024;

#[vlugin]
pub async fn on_request(req: http::Request) -> http::Response {
    let header = |name: &str| Some(req.header(name)?.last().as_str());
    let key = header("sec-websocket-key");
    let is_offered = offers_upgrade(&req, "websocket")
        && req.method() == http::Method::Get
        && header("sec-websocket-version") == Some("13");
    let (true, Some(key)) = (is_offered, key) else {
        let mut res = http::Response::new(http::StatusCode::UpgradeRequired);
        res.insert_header("upgrade", "websocket");
        res.insert_header("sec-websocket-version", "13");
        return res;
    };
    let mut res = upgrade("websocket", echo);
    res.insert_header("sec-websocket-accept", derive_accept_key(key.as_bytes()));
    res
}

async fn echo(connection: http::upgrade::Connection) -> http::Result<()> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
    while let Some(message) = socket.next().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => socket.send(message).await?,
            // The crate answers pings and the end of the conversation.
            Ok(_) => {}
            Err(error) => return say_goodbye(socket.get_mut(), error).await,
        }
    }
    Ok(())
}

/// Tells the client why the conversation ends: it made a mistake, or the host shuts down.
async fn say_goodbye(connection: &mut http::upgrade::Connection, error: Error) -> http::Result<()> {
    let code = match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseCode::Away,
        Error::Protocol(_) => CloseCode::Protocol,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Capacity(_) => CloseCode::Size,
        error => return Err(error.into()),
    };
    let mut frame = Vec::new();
    Frame::close(Some(CloseFrame {
        code,
        reason: "".into(),
    }))
    .format(&mut frame)?;
    connection.write_all(&frame).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::stream;

    /// A frame as a client sends it, masked with zeros.
    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let head = [0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        [&head, payload].concat()
    }

    fn conversation(frames: Vec<Vec<u8>>) -> testing::TestResponse {
        testing::create(VLUGIN, ())
            .request("GET", "/")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(streaming(stream::iter(frames.into_iter().map(Ok))))
            .send()
            .assert_status(101)
            // The example of RFC 6455, section 1.3.
            .assert_header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    #[test]
    fn sends_messages_back_and_answers_the_end() {
        let frames = vec![frame(1, b"hello"), frame(9, b"p"), frame(8, &[3, 232])];
        let mut response = conversation(frames);
        let said = response.bytes().unwrap();
        let pieces: [&[u8]; 3] = [b"\x81\x05hello", b"\x8a\x01p", &[0x88, 2, 3, 232]];
        assert_eq!(
            said.escape_ascii().to_string(),
            pieces.concat().escape_ascii().to_string()
        );
    }

    #[test]
    fn says_goodbye_to_a_client_that_only_stops_sending() {
        let said = conversation(vec![frame(1, b"a")]).bytes().unwrap();
        assert_eq!(&said[..], b"\x81\x01a\x88\x02\x03\xe9");
    }

    #[test]
    fn tells_a_client_of_its_mistake() {
        let said = conversation(vec![frame(1, b"\xff")]).bytes().unwrap();
        assert_eq!(&said[..], b"\x88\x02\x03\xef");
    }

    #[test]
    fn asks_for_an_upgrade() {
        testing::create(VLUGIN, ())
            .get("/")
            .assert_status(426)
            .assert_header("upgrade", "websocket")
            .assert_header("sec-websocket-version", "13");
    }
}
