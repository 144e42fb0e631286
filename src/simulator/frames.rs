//! The frames that carry an answer, whole or spoiled on purpose.

use std::io;

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::api::HOSTILE_TEXT;
use super::fault::Fault;

/// Size of the frame of `huge_frame`.
const HUGE: u64 = 64 * 1024 * 1024;

/// Depth of the arrays of `deep_json`.
const DEEP: usize = 100_000;

/// Bytes in one piece of `fragments`.
const PIECE: usize = 97;

/// First byte of a frame that is a whole text, of the first piece of one, of a later one, and of
/// the last. Source: RFC 6455, section 5.2.
const WHOLE_TEXT: u8 = 0x81;
const FIRST_PIECE: u8 = 0x01;
const LATER_PIECE: u8 = 0x00;
const LAST_PIECE: u8 = 0x80;

/// Sends an answer, spoiled if the fault says so.
pub(super) async fn send<S>(
    socket: &mut WebSocketStream<S>,
    text: String,
    fault: Option<Fault>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match fault {
        // Every message before was flushed, so these bytes begin a frame.
        Some(Fault::HugeFrame) => Ok(write_huge(socket.get_mut()).await?),
        Some(Fault::InvalidUtf8) => Ok(write_no_utf8(socket.get_mut(), text).await?),
        Some(Fault::Fragments) => Ok(write_pieces(socket.get_mut(), text.as_bytes()).await?),
        _ => {
            for message in spoiled(text, fault) {
                socket.send(message).await?;
            }
            Ok(())
        }
    }
}

fn spoiled(text: String, fault: Option<Fault>) -> Vec<Message> {
    match fault {
        Some(Fault::Garbage) => vec![Message::text("<html><body>502 Bad Gateway</body></html>")],
        Some(Fault::Truncated) => vec![Message::text(text[..text.len() / 2].to_owned())],
        Some(Fault::Binary) => vec![Message::binary(text.into_bytes())],
        Some(Fault::Doubled) => vec![Message::text(text.clone()), Message::text(text)],
        Some(Fault::DeepJson) => vec![Message::text("[".repeat(DEEP) + &"]".repeat(DEEP))],
        Some(Fault::EmptyFrame) => vec![Message::text("")],
        _ => vec![Message::text(text)],
    }
}

/// The farewell of a server that restarts.
pub(super) fn going_away() -> CloseFrame {
    CloseFrame { code: CloseCode::Away, reason: "going away".into() }
}

/// The farewell of a server that means harm.
pub(super) fn against_the_rules() -> CloseFrame {
    CloseFrame { code: CloseCode::Policy, reason: HOSTILE_TEXT.into() }
}

/// Writes a frame header for the whole text and then half of it.
pub(super) async fn write_half<S: AsyncWrite + Unpin>(
    stream: &mut S,
    text: &str,
) -> io::Result<()> {
    stream.write_all(&header(WHOLE_TEXT, text.len() as u64)).await?;
    stream.write_all(&text.as_bytes()[..text.len() / 2]).await?;
    stream.shutdown().await
}

async fn write_huge<S: AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let chunk = vec![b' '; 1 << 16];
    stream.write_all(&header(WHOLE_TEXT, HUGE)).await?;
    for _ in 0..HUGE / chunk.len() as u64 {
        stream.write_all(&chunk).await?;
    }
    stream.flush().await
}

async fn write_no_utf8<S: AsyncWrite + Unpin>(stream: &mut S, text: String) -> io::Result<()> {
    let mut bytes = text.into_bytes();
    let middle = bytes.len() / 2;
    bytes[middle] = 0xff;
    stream.write_all(&header(WHOLE_TEXT, bytes.len() as u64)).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn write_pieces<S: AsyncWrite + Unpin>(stream: &mut S, text: &[u8]) -> io::Result<()> {
    let mut first = FIRST_PIECE;
    for piece in text.chunks(PIECE) {
        stream.write_all(&header(first, piece.len() as u64)).await?;
        stream.write_all(piece).await?;
        first = LATER_PIECE;
    }
    stream.write_all(&header(LAST_PIECE, 0)).await?;
    stream.flush().await
}

/// The header of an unmasked frame, its length always in eight bytes.
fn header(first: u8, length: u64) -> Vec<u8> {
    const LENGTH_IN_8_BYTES: u8 = 127;
    let mut header = vec![first, LENGTH_IN_8_BYTES];
    header.extend(length.to_be_bytes());
    header
}
