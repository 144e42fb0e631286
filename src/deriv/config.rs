//! What the client is told: which API, where, as whom, and how long to wait.
//!
//! Values here cannot be wrong once made: an [`Endpoint`] is a checked address, a [`Secret`] cannot
//! be printed.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use tokio_tungstenite::tungstenite::http::Uri;
use zeroize::Zeroizing;

/// Which generation of the API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ApiVersion {
    /// The public market-data endpoint, without application id or authorization.
    #[default]
    V1,
    /// The older API with application ids and tokens; "being retired", no date published.
    Legacy,
}

/// `v1` or `legacy`.
impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V1 => "v1",
            Self::Legacy => "legacy",
        })
    }
}

/// The text names the versions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such API version; choose `v1` or `legacy`")]
pub struct InvalidApiVersion;

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "v1" => Ok(Self::V1),
            "legacy" => Ok(Self::Legacy),
            _ => Err(InvalidApiVersion),
        }
    }
}

/// A checked `ws://` or `wss://` address.
///
/// `Display` and `Debug` leave the query out: it may carry a one-time password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    tls: bool,
    /// As written in a URL: an IPv6 address keeps its brackets.
    host: String,
    port: Option<u16>,
    path: String,
    query: Option<String>,
}

/// Why a text is not an [`Endpoint`]; never repeats the text, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write an endpoint like `wss://api.derivws.com/trading/v1/options/ws/public`")]
pub struct InvalidEndpoint(&'static str);

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// If it is no URL, has another scheme than `ws` or `wss`, or names a user.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let uri: Uri = text.trim().parse().map_err(|_| InvalidEndpoint("not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(InvalidEndpoint("the scheme must be `ws` or `wss`")),
        };
        let authority = uri.authority().ok_or(InvalidEndpoint("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(InvalidEndpoint("a user name or password in the URL is not used"));
        }
        if authority.host().is_empty() {
            return Err(InvalidEndpoint("the host is missing"));
        }
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(InvalidEndpoint("the port must be 1 to 65535")),
            },
        };
        Ok(Self {
            tls,
            host: authority.host().to_ascii_lowercase(),
            port,
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    /// Where an API version lives.
    ///
    /// Source: the API's published addresses.
    pub fn default_for(api: ApiVersion) -> Self {
        let (host, path) = match api {
            ApiVersion::V1 => ("api.derivws.com", "/trading/v1/options/ws/public"),
            ApiVersion::Legacy => ("ws.derivws.com", "/websockets/v3"),
        };
        Self { tls: true, host: host.to_owned(), port: None, path: path.to_owned(), query: None }
    }

    /// The host name or address, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, 443 or 80 if none was written.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 443 } else { 80 })
    }

    /// Host and port, as HTTP names them.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// Tells whether the bytes are encrypted on the way.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Tells whether it is this machine: `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        match self.host().parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_loopback(),
            Ok(IpAddr::V6(address)) => is_loopback_v6(address),
            Err(_) => self.host == "localhost",
        }
    }

    /// The whole address to dial, with the application id the legacy API wants. Not to be printed.
    pub(super) fn url(&self, app_id: Option<u32>) -> String {
        let mut url = self.to_string();
        let mut separator = '?';
        if let Some(query) = &self.query {
            url.push(separator);
            url.push_str(query);
            separator = '&';
        }
        let given = self.query.iter().flat_map(|q| q.split('&')).any(|p| p.starts_with("app_id="));
        if let (Some(app_id), false) = (app_id, given) {
            url.push_str(&format!("{separator}app_id={app_id}"));
        }
        url
    }
}

fn is_loopback_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// An API token. Prints as `<secret>`, whoever asks, and is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the token; white space around it, as files have, is dropped.
    pub fn new(token: impl AsRef<str>) -> Self {
        Self(Zeroizing::new(token.as_ref().trim().to_owned()))
    }

    /// The token itself, for the one request that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("<secret>")
    }
}

/// What is shown in the place of a secret.
const MASK: &str = "<secret>";

/// Shorter words would be found in prices and times, and no token is that short.
const LEAST_MASKED: usize = 6;

/// Everything [`DerivClient`](super::DerivClient) has to be told.
#[derive(Debug, Clone)]
pub struct DerivConfig {
    /// Which generation of the API answers at `endpoint`.
    pub api: ApiVersion,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// Application id; only the legacy API asks for one.
    pub app_id: u32,
    /// Sent by `authorize` after each connect; only the legacy API knows it, v1 ignores it.
    pub token: Option<Secret>,
    /// From sending a request to giving up on its answer.
    pub request_timeout: Duration,
    /// From one ping to the next.
    pub ping_every: Duration,
    /// From a ping, or any other write, to calling the connection dead.
    pub pong_within: Duration,
    /// For TCP, TLS and the WebSocket upgrade together.
    pub connect_timeout: Duration,
    /// Largest answer that is read; a larger one ends its connection.
    pub max_message_bytes: usize,
    /// Largest WebSocket frame that is read.
    pub max_frame_bytes: usize,
}

impl DerivConfig {
    /// The shared id for tests and tools without a registration of their own.
    pub const SHARED_APP_ID: u32 = 1089;

    /// The usual settings for an API version at an address.
    ///
    /// - An idle session is closed after two minutes, hence a ping every 30 s.
    /// - A page of 5,000 ticks is 130 kB; 8 MiB is sixty times that and still harmless.
    pub fn new(api: ApiVersion, endpoint: Endpoint) -> Self {
        Self {
            api,
            endpoint,
            app_id: Self::SHARED_APP_ID,
            token: None,
            request_timeout: Duration::from_secs(30),
            ping_every: Duration::from_secs(30),
            pong_within: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            max_message_bytes: 8 << 20,
            max_frame_bytes: 8 << 20,
        }
    }

    /// The token to authorize with, where the API knows tokens.
    pub(super) fn token_to_send(&self) -> Option<&Secret> {
        self.token.as_ref().filter(|_| self.api == ApiVersion::Legacy)
    }

    /// What must not be repeated, whoever repeats it: the token, and the query of the address.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let values = self.endpoint.query.iter().flat_map(|query| query.split('&'));
        let values = values.filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
        self.token_to_send().map(Secret::expose).into_iter().chain(values)
    }

    /// A text of the server without the secrets it was told; some servers repeat them.
    pub(super) fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked = Cow::Borrowed(text);
        for secret in self.secrets().filter(|secret| secret.len() >= LEAST_MASKED) {
            if masked.contains(secret) {
                masked = Cow::Owned(masked.replace(secret, MASK));
            }
        }
        masked
    }

    /// The address to dial. Not to be printed.
    pub(super) fn url(&self) -> String {
        self.endpoint.url((self.api == ApiVersion::Legacy).then_some(self.app_id))
    }
}

impl Default for DerivConfig {
    fn default() -> Self {
        Self::new(ApiVersion::V1, Endpoint::default_for(ApiVersion::V1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Endpoint::parse(text).map_or_else(|error| error.to_string(), |e| e.to_string())
    }

    #[test]
    fn reads_web_socket_addresses_and_nothing_else() {
        let check = |text, legal: bool| {
            assert_eq!(Endpoint::parse(text).is_ok(), legal, "{text}");
        };
        check("wss://api.derivws.com/trading/v1/options/ws/public", true);
        check("ws://127.0.0.1:8080", true);
        check("ws://[::1]:8080/x", true);
        check("https://api.derivws.com/", false);
        check("api.derivws.com", false);
        check("wss://", false);
        check("wss:///path", false);
        check("wss://host:0/", false);
        check("wss://host:99999/", false);
        check("wss://host:/", false);
        check("wss://user:word@host/", false);
        check("", false);
        check("wss://ho st/", false);
    }

    #[test]
    fn knows_this_machine() {
        let check = |text: &str, expected| {
            assert_eq!(Endpoint::parse(text).unwrap().is_loopback(), expected, "{text}");
        };
        check("ws://localhost:1/", true);
        check("ws://LOCALHOST/", true);
        check("ws://127.3.2.1/", true);
        check("ws://[::1]/", true);
        check("ws://[::ffff:127.0.0.1]/", true);
        check("ws://localhost.example.com/", false);
        check("ws://127.0.0.1.evil.com/", false);
        // Resolvers read these as addresses too, but which one is theirs to say.
        check("ws://0x7f000001/", false);
        check("ws://2130706433/", false);
        check("ws://127.1/", false);
        check("ws://017700000001/", false);
        check("ws://0.0.0.0/", false);
        check("ws://[::]/", false);
        check("ws://localhost./", false);
        check("ws://127.0.0.1.example.com/", false);
        check("ws://10.0.0.1/", false);
    }

    #[test]
    fn no_secret_is_ever_printed() {
        for text in ["wss://h/p?otp=s3cret", "wss://u:s3cret@h/p", "ftp://h/?otp=s3cret"] {
            assert!(!shown(text).contains("s3cret"), "{text} shows as {}", shown(text));
        }
        let config = DerivConfig {
            endpoint: Endpoint::parse("wss://h/p?otp=s3cret").unwrap(),
            token: Some(Secret::new("s3cret\n")),
            ..DerivConfig::default()
        };
        assert!(!format!("{config:?}").contains("s3cret"));
        assert_eq!(format!("{0} {0:?}", Secret::new("s3cret")), "<secret> <secret>");
    }

    #[test]
    fn what_a_server_repeats_is_masked() {
        let config = |api| DerivConfig {
            token: Some(Secret::new("s3cretT0ken")),
            ..DerivConfig::new(api, Endpoint::parse("wss://h/p?l=EN&otp=0netime").unwrap())
        };
        let said = "the token s3cretT0ken and 0netime are EN";
        assert_eq!(
            config(ApiVersion::Legacy).masked(said),
            "the token <secret> and <secret> are EN"
        );
        // A token that is not sent cannot be repeated.
        assert!(config(ApiVersion::V1).masked("s3cretT0ken").contains("s3cretT0ken"));
        assert!(matches!(config(ApiVersion::V1).masked("all is well"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_legacy_gets_an_application_id() {
        let url = |api, text| DerivConfig::new(api, Endpoint::parse(text).unwrap()).url();
        assert_eq!(url(ApiVersion::V1, "wss://h/p"), "wss://h/p");
        assert_eq!(url(ApiVersion::Legacy, "wss://h/p"), "wss://h/p?app_id=1089");
        assert_eq!(url(ApiVersion::Legacy, "wss://h/p?l=EN"), "wss://h/p?l=EN&app_id=1089");
        assert_eq!(url(ApiVersion::Legacy, "wss://h/p?app_id=7"), "wss://h/p?app_id=7");
    }
}
