//! Dials: TCP, a proxy where one is named, and TLS where the address asks for it.
//!
//! The WebSocket handshake is not done here, so tests can hand the client an in-memory pipe.
//!
//! | file | what lives there |
//! |---|---|
//! | `addresses` | which of several addresses is connected to |
//! | `proxy` | which proxy is named, and `CONNECT` |
//! | `trust_store` | whose certificates are trusted |

mod addresses;
mod proxy;
mod trust_store;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::config::Endpoint;
use addresses::{first_to_connect, interleaved};

pub use proxy::{InvalidProxy, Proxy};
pub use trust_store::{InvalidTrustStore, check_trust_store};

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DialSteps {
    /// From the name of the host to its addresses.
    pub dns: Option<Duration>,
    /// How many addresses there were.
    pub n_addresses: usize,
    /// The addresses a connection was tried to, in this order.
    pub tried: Vec<SocketAddr>,
    /// From an address to a connection, through the proxy if there is one.
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
    proxy: Option<Proxy>,
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
        Self { allow_insecure: true, ..Self::default() }
    }

    /// Dials through a proxy, if there is one.
    #[must_use]
    pub fn through(self, proxy: Option<Proxy>) -> Self {
        Self { proxy, ..self }
    }

    async fn tls_config(&self) -> io::Result<Arc<ClientConfig>> {
        let make = || async { tokio::task::spawn_blocking(client_config).await? };
        self.tls.get_or_try_init(make).await.cloned()
    }

    /// A connection to the first of a host's addresses that answers.
    async fn tcp(&self, host: &str, port: u16, steps: &mut DialSteps) -> io::Result<BoxedStream> {
        let began = Instant::now();
        let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
        (steps.dns, steps.n_addresses) = (Some(began.elapsed()), addresses.len());
        let addresses = interleaved(addresses);
        let tcp = first_to_connect(&addresses, &mut steps.tried, TcpStream::connect).await?;
        tcp.set_nodelay(true)?;
        Ok(Box::new(tcp))
    }

    async fn encrypted(&self, host: &str, stream: BoxedStream) -> io::Result<BoxedStream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = TlsConnector::from(self.tls_config().await?);
        Ok(Box::new(tls.connect(name, stream).await?))
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
        let proxy = self.proxy.as_ref().filter(|_| !endpoint.is_loopback());
        let (host, port) = match proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (endpoint.host(), endpoint.port()),
        };
        let began = Instant::now();
        let mut stream = self.tcp(host, port, steps).await?;
        if let Some(proxy) = proxy {
            if proxy.is_tls() {
                stream = self.encrypted(proxy.host(), stream).await?;
            }
            proxy.connect(&mut stream, endpoint).await?;
        }
        steps.tcp = Some(began.elapsed().saturating_sub(steps.dns.unwrap_or_default()));
        if !endpoint.is_tls() {
            return Ok(stream);
        }
        let began = Instant::now();
        let stream = self.encrypted(endpoint.host(), stream).await?;
        steps.tls = Some(began.elapsed());
        Ok(stream)
    }
}

/// TLS with ring, named explicitly: with two providers in one binary rustls cannot choose and panics.
fn client_config() -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots =
        trust_store::roots().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
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
        assert!(!trust_store::roots().unwrap().is_empty());
    }
}
