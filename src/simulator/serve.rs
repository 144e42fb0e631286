//! Accepting connections over TCP or over any other stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::api::Session;
use super::fault::Fault;
use super::{Simulator, connection, upgrade};

/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Simulator {
    /// Serves every connection to `listener` until `stop`; then cuts them all and waits for their ends.
    ///
    /// # Errors
    ///
    /// If the listener has no local address, which means it is not listening at all. A single
    /// connection that cannot be accepted is no error: real servers go on too.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> io::Result<()> {
        listener.local_addr()?;
        // Owns every connection; each ends at `stop`, and they are awaited below.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (simulator, stop) = (Arc::clone(&self), stop.clone());
                        connections.spawn(async move {
                            tokio::select! {
                                () = stop.cancelled() => {}
                                () = simulator.serve_tcp(stream) => {}
                            }
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        while connections.join_next().await.is_some() {}
        Ok(())
    }

    /// Serves one connection over any stream, upgrade included, until it ends.
    pub async fn serve_stream<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // Only TCP can be reset; other streams are just closed.
        self.serve_one(stream, |_| {}).await;
    }

    async fn serve_tcp(self: Arc<Self>, stream: TcpStream) {
        // Small frames must not wait for each other; without the option they are only slower.
        let _ = stream.set_nodelay(true);
        self.serve_one(stream, reset).await;
    }

    async fn serve_one<S>(self: Arc<Self>, stream: S, reset: fn(&S))
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if self.is_out() {
            reset(&stream);
            return;
        }
        let (number, fault) = self.next_connection();
        if let Some((socket, surface)) = upgrade::accept(stream, fault, reset).await {
            let refuses_token = fault == Some(Fault::RefuseToken);
            let session = Session::new(surface, number, refuses_token);
            connection::run(self, socket, session, reset).await;
        }
    }
}

/// Makes the closing of the stream a reset, as of a machine that went away.
fn reset(stream: &TcpStream) {
    // Without the option the stream is closed politely, which still is an end.
    let _ = stream.set_zero_linger();
}
