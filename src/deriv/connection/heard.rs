//! A stream that knows when it last heard from the other side.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::deriv::net::BoxedStream;

/// A long answer over a slow line is no message until its last byte is there, and yet each byte of
/// it proves that the connection lives.
pub(in crate::deriv) struct Heard {
    stream: BoxedStream,
    last: Instant,
}

impl Heard {
    pub(super) fn new(stream: BoxedStream) -> Self {
        Self { stream, last: Instant::now() }
    }

    /// When the latest bytes were read; at first, when the stream was opened.
    pub(super) fn last(&self) -> Instant {
        self.last
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let n_before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > n_before {
            self.last = Instant::now();
        }
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
