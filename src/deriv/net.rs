//! Dials: TCP, and TLS where the address asks for it.
//!
//! The WebSocket handshake is not done here, so tests can hand the client an in-memory pipe.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::config::Endpoint;

/// Bytes both ways; implemented by everything that can be one.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// Bytes both ways, whatever carries them.
pub type BoxedStream = Box<dyn ByteStream>;

/// Makes the byte stream below a WebSocket, TLS included.
pub trait Connect: Send + Sync + 'static {
    /// Opens a new stream to `endpoint`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if dialling again cannot help, any other kind if it can.
    fn dial(&self, endpoint: &Endpoint) -> impl Future<Output = io::Result<BoxedStream>> + Send;

    /// The same, telling how far it got and how long each step took.
    ///
    /// # Errors
    ///
    /// As [`dial`](Self::dial).
    fn dial_in_steps(
        &self,
        endpoint: &Endpoint,
        steps: &mut DialSteps,
    ) -> impl Future<Output = io::Result<BoxedStream>> + Send {
        let _ = steps;
        self.dial(endpoint)
    }
}

/// How long each step of a dial took; `None` for a step that was not reached, not needed or not
/// told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DialSteps {
    /// From the name of the host to its addresses.
    pub dns: Option<Duration>,
    /// How many addresses there were.
    pub n_addresses: usize,
    /// From an address to a connection.
    pub tcp: Option<Duration>,
    /// From a connection to an encrypted one.
    pub tls: Option<Duration>,
}

/// Dials over the network.
///
/// Unencrypted addresses are refused unless they are this machine's own.
#[derive(Debug, Default)]
pub struct NetConnector {
    allow_insecure: bool,
    /// Read once, at the first encrypted dial: the system's certificates take a while.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl NetConnector {
    /// Dials `wss://` anywhere and `ws://` on loopback.
    pub fn new() -> Self {
        Self::default()
    }

    /// Dials `ws://` anywhere too; whoever is between can then read and change the answers.
    pub fn allow_insecure() -> Self {
        Self { allow_insecure: true, tls: OnceCell::new() }
    }

    async fn tls_config(&self) -> io::Result<Arc<ClientConfig>> {
        let make = || async { tokio::task::spawn_blocking(client_config).await? };
        self.tls.get_or_try_init(make).await.cloned()
    }
}

impl Connect for NetConnector {
    async fn dial(&self, endpoint: &Endpoint) -> io::Result<BoxedStream> {
        self.dial_in_steps(endpoint, &mut DialSteps::default()).await
    }

    async fn dial_in_steps(
        &self,
        endpoint: &Endpoint,
        steps: &mut DialSteps,
    ) -> io::Result<BoxedStream> {
        if !endpoint.is_tls() && !endpoint.is_loopback() && !self.allow_insecure {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "unencrypted `ws://` is refused except on loopback",
            ));
        }
        let began = Instant::now();
        let addresses: Vec<_> =
            tokio::net::lookup_host((endpoint.host(), endpoint.port())).await?.collect();
        (steps.dns, steps.n_addresses) = (Some(began.elapsed()), addresses.len());
        let began = Instant::now();
        let tcp = TcpStream::connect(addresses.as_slice()).await?;
        steps.tcp = Some(began.elapsed());
        tcp.set_nodelay(true)?;
        if !endpoint.is_tls() {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(endpoint.host().to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = TlsConnector::from(self.tls_config().await?);
        let began = Instant::now();
        let stream = tls.connect(name, tcp).await?;
        steps.tls = Some(began.elapsed());
        Ok(Box::new(stream))
    }
}

/// TLS with ring, named explicitly: with two providers in one binary rustls cannot choose and panics.
fn client_config() -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The system's certificates; those of Mozilla where the system has none, as in small containers.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (n_added, _) = roots.add_parsable_certificates(native.certs);
    if n_added == 0 {
        tracing::debug!(
            n_errors = native.errors.len(),
            "no system certificates, using built-in ones"
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_text_leaves_this_machine_only_when_allowed() {
        let endpoint = Endpoint::parse("ws://192.0.2.1:9/").unwrap();
        let Err(error) = NetConnector::new().dial(&endpoint).await else {
            panic!("dialled in plain text")
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn tls_needs_no_process_wide_provider() {
        assert!(client_config().is_ok());
        assert!(!roots().is_empty());
    }
}
