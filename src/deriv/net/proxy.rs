//! Proxies: which one a variable names for an endpoint, and the question for a connection through it.
//!
//! `CONNECT` is the only thing a proxy is asked for, so this is a few lines of HTTP/1.1 and no HTTP
//! client.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::http::uri::Authority;

use super::ByteStream;
use crate::deriv::config::{Endpoint, Secret};

/// For `wss://` and for `ws://`, the first that is set; the order is that of curl.
const ENCRYPTED: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const PLAIN: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Longest head of an answer that is read.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// An HTTP proxy through which the endpoint is reached.
///
/// `Display` and `Debug` leave user name and password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    variable: &'static str,
    tls: bool,
    /// As written in a URL: an IPv6 address keeps its brackets.
    host: String,
    port: u16,
    /// What follows `Proxy-Authorization: Basic `.
    credentials: Option<Secret>,
}

/// Why a variable names no proxy that can be used; never repeats the value, which may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{variable}` {problem}")]
pub struct InvalidProxy {
    variable: &'static str,
    problem: String,
}

/// What a proxy answered instead of making a connection.
#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} {problem}")]
struct ProxyFailure {
    proxy: Proxy,
    problem: String,
}

impl Proxy {
    /// Tells whether a proxy is the reason of an error, or of one of its causes.
    pub fn is_to_blame(error: &(dyn Error + 'static)) -> bool {
        let is_it = |error: &(dyn Error + 'static)| {
            // One loss is told to many callers, so they share its cause.
            let shared = error.downcast_ref::<Arc<dyn Error + Send + Sync>>();
            let error: &(dyn Error + 'static) = match shared {
                Some(shared) => &**shared,
                None => error,
            };
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            inner.is_some_and(<dyn Error + Send + Sync>::is::<ProxyFailure>)
        };
        let mut next = Some(error);
        while let Some(error) = next {
            if is_it(error) {
                return true;
            }
            next = error.source();
        }
        false
    }

    /// The proxy that `get`, the environment, names for an endpoint; `None` for one on this machine
    /// and for one that `NO_PROXY` names.
    ///
    /// # Errors
    ///
    /// If what is named is no address of a proxy, or of one of another kind.
    pub fn for_endpoint(
        endpoint: &Endpoint,
        get: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, InvalidProxy> {
        if endpoint.is_loopback() {
            return Ok(None);
        }
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = get(name)?.to_string_lossy().trim().to_owned();
                (!value.is_empty()).then_some((*name, value))
            })
        };
        let names = if endpoint.is_tls() { &ENCRYPTED } else { &PLAIN };
        let Some((variable, value)) = first(names) else { return Ok(None) };
        let excepted = |(_, list): (_, String)| is_excepted(&list, endpoint);
        if first(&EXCEPTIONS).is_some_and(excepted) {
            return Ok(None);
        }
        Self::parse(variable, &value)
            .map(Some)
            .map_err(|problem| InvalidProxy { variable, problem })
    }

    fn parse(variable: &'static str, value: &str) -> Result<Self, String> {
        const NO_ADDRESS: &str = "is not the address of a proxy like `http://proxy.example:3128`";
        let no_address = || NO_ADDRESS.to_owned();
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            kind @ ("socks" | "socks4" | "socks4a" | "socks5" | "socks5h") => {
                return Err(format!("names a proxy of the kind `{kind}`, which is not supported"));
            }
            _ => return Err(no_address()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let authority: Authority = place.parse().map_err(|_| no_address())?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if tls { 443 } else { 80 }),
            _ => authority.port_u16().filter(|port| *port > 0),
        };
        let port = port.filter(|_| !authority.host().is_empty()).ok_or_else(no_address)?;
        let host = authority.host().to_ascii_lowercase();
        let credentials = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let pair = [unescaped(name).as_slice(), b":", &unescaped(password)].concat();
            Secret::new(BASE64.encode(&pair))
        });
        Ok(Self { variable, tls, host, port, credentials })
    }

    /// The host name or address, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Tells whether the proxy itself is talked to in TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Asks for a connection to `endpoint`; what follows on `stream` is between it and us.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if the proxy will not, any other kind if it cannot now.
    pub(super) async fn connect(
        &self,
        stream: &mut dyn ByteStream,
        endpoint: &Endpoint,
    ) -> io::Result<()> {
        let target = endpoint.authority();
        let agent = concat!("titan-download/", env!("CARGO_PKG_VERSION"));
        let mut request =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {agent}\r\n");
        if let Some(credentials) = &self.credentials {
            let line = format!("Proxy-Authorization: Basic {}\r\n", credentials.expose());
            request.push_str(&line);
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let status = status_of(&head(stream).await.map_err(|error| self.failed(&error))?);
        match status {
            Some(200..=299) => Ok(()),
            Some(407) => {
                let what = match self.credentials {
                    Some(_) => "refuses the user name and password it was given",
                    None => "wants a user name and password, like `http://name:password@host:port`",
                };
                Err(self.refused(io::ErrorKind::InvalidInput, &format!("{what} (HTTP 407)")))
            }
            Some(status) => {
                let is_final = matches!(status, 300..=499) && !matches!(status, 408 | 425 | 429);
                let kind =
                    if is_final { io::ErrorKind::InvalidInput } else { io::ErrorKind::Other };
                let what = format!("makes no connection to `{target}` (HTTP {status})");
                Err(self.refused(kind, &what))
            }
            None => {
                Err(self.refused(io::ErrorKind::InvalidData, "does not answer as an HTTP proxy"))
            }
        }
    }

    fn refused(&self, kind: io::ErrorKind, what: &str) -> io::Error {
        io::Error::new(kind, ProxyFailure { proxy: self.clone(), problem: what.to_owned() })
    }

    fn failed(&self, error: &io::Error) -> io::Error {
        self.refused(error.kind(), &format!("ended the connection: {error}"))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "`{scheme}://{}:{}` of `{}`", self.host, self.port, self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The head of an answer, byte by byte: what follows it belongs to the connection.
async fn head(stream: &mut dyn ByteStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MOST_HEAD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer has no end"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Option<u16> {
    let mut words = head.split(u8::is_ascii_whitespace);
    words.next().filter(|version| version.starts_with(b"HTTP/1."))?;
    std::str::from_utf8(words.next()?).ok()?.parse().ok().filter(|status| *status >= 100)
}

/// Undoes `%40` and its like; what is no such thing stays as it is.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut rest, mut plain) = (text.as_bytes(), Vec::new());
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = digits.filter(|_| byte == b'%').map(|pair| u8::from_str_radix(pair, 16));
        match escaped {
            Some(Ok(meant)) => {
                plain.push(meant);
                rest = &after[2..];
            }
            _ => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// Tells whether a list like `localhost,.example.com,10.0.0.0/8,*.test:8080` names the endpoint.
fn is_excepted(list: &str, endpoint: &Endpoint) -> bool {
    let host = endpoint.host().trim_end_matches('.');
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        let (name, port) = match entry.rsplit_once(':') {
            // More colons than one make an address and no port, unless it is in brackets.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (entry.as_str(), None),
        };
        if port.is_some_and(|port| port.parse() != Ok(endpoint.port())) {
            return false;
        }
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if let Some((net, bits)) = name.split_once('/') {
            return is_inside(host, net, bits).unwrap_or(false);
        }
        let name = name.trim_start_matches('*').trim_matches('.');
        name.is_empty()
            || host == name
            || host.strip_suffix(name).is_some_and(|head| head.ends_with('.'))
    })
}

/// Tells whether an address lies in a network.
fn is_inside(host: &str, net: &str, bits: &str) -> Option<bool> {
    let (host, net): (IpAddr, IpAddr) = (host.parse().ok()?, net.parse().ok()?);
    let bits: u32 = bits.parse().ok()?;
    let (host, net, width) = match (host, net) {
        (IpAddr::V4(host), IpAddr::V4(net)) => {
            (u128::from(host.to_bits()), u128::from(net.to_bits()), 32)
        }
        (IpAddr::V6(host), IpAddr::V6(net)) => (host.to_bits(), net.to_bits(), 128),
        _ => return Some(false),
    };
    let shift = u32::checked_sub(width, bits)?;
    Some((host ^ net).checked_shr(shift).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn named(url: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, InvalidProxy> {
        let get = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        };
        Proxy::for_endpoint(&Endpoint::parse(url).unwrap(), get)
    }

    const FAR: &str = "wss://api.example.com/x";

    #[test]
    fn variables_are_read_in_the_order_of_others() {
        let check = |url, variables: &[(&str, &str)], expected: Option<&str>| {
            let found = named(url, variables).unwrap().map(|proxy| proxy.to_string());
            assert_eq!(found.as_deref(), expected, "{url} {variables:?}");
        };
        check(FAR, &[], None);
        check(FAR, &[("HTTPS_PROXY", " ")], None);
        check(FAR, &[("HTTP_PROXY", "p:1")], None);
        check(FAR, &[("ALL_PROXY", "p:1")], Some("`http://p:1` of `ALL_PROXY`"));
        check(
            FAR,
            &[("ALL_PROXY", "socks5://p"), ("HTTPS_PROXY", "p"), ("https_proxy", "HTTPS://q/")],
            Some("`https://q:443` of `https_proxy`"),
        );
        check(FAR, &[("HTTPS_PROXY", "p")], Some("`http://p:80` of `HTTPS_PROXY`"));
        check(FAR, &[("HTTPS_PROXY", "http://[::1]:8")], Some("`http://[::1]:8` of `HTTPS_PROXY`"));
        let plain = "ws://api.example.com/x";
        check(
            plain,
            &[("HTTPS_PROXY", "p:1"), ("http_proxy", "q:2")],
            Some("`http://q:2` of `http_proxy`"),
        );
        for near in ["wss://localhost/", "ws://127.0.0.1:1/", "ws://[::1]:1/"] {
            check(near, &[("ALL_PROXY", "socks5://p:1"), ("HTTP_PROXY", "p:1")], None);
        }
    }

    #[test]
    fn exceptions_are_names_suffixes_networks_and_ports() {
        let check = |url, list, expected: bool| {
            let found = named(url, &[("ALL_PROXY", "p:1"), ("NO_PROXY", list)]).unwrap();
            assert_eq!(found.is_none(), expected, "{url} {list}");
        };
        check(FAR, "api.example.com", true);
        check(FAR, "x, Example.com", true);
        check(FAR, ".example.com", true);
        check(FAR, "*.example.com", true);
        check(FAR, "*", true);
        check(FAR, "example.com:443", true);
        check(FAR, "example.com:444", false);
        check(FAR, "ample.com", false);
        check(FAR, "10.0.0.0/8", false);
        check("ws://10.1.2.3/", "10.0.0.0/8", true);
        check("ws://11.1.2.3/", "10.0.0.0/8,1/x,10.0.0.0/99", false);
        check("ws://11.1.2.3/", "0.0.0.0/0", true);
        check("ws://[2001:db8::7]/", "2001:db8::/32", true);
        check("ws://[2001:db8::7]:9/", "[2001:db8::7]:9", true);
        check("ws://[2001:db8::7]:9/", "2001:db8::8", false);
    }

    #[test]
    fn what_is_no_proxy_is_told_by_the_name_of_its_variable_alone() {
        let check = |value, part: &str| {
            let said = named(FAR, &[("https_proxy", value)]).unwrap_err().to_string();
            assert!(said.starts_with("`https_proxy` ") && said.contains(part), "{value}: {said}");
            assert!(!said.contains("s3cret"), "{value}: {said}");
        };
        check("socks5://me:s3cret@p:1", "the kind `socks5`, which is not supported");
        check("SOCKS5H://p:1", "the kind `socks5h`");
        for value in [
            "ftp://me:s3cret@p:1",
            "me:s3cret://p",
            "http://",
            "http://me:s3cret@",
            "http://p:0",
            "http://p:99999",
            "http://p:",
            "http://p:x",
            "http://me:s3cret/@p:1",
            "http://p:1/s3cret",
            "http://p p:1",
        ] {
            match value {
                // Whatever stands before the last `@` is taken for a name and a password.
                "http://me:s3cret/@p:1" => assert!(named(FAR, &[("https_proxy", value)]).is_ok()),
                _ => check(value, "not the address of a proxy"),
            }
        }
        let proxy = named(FAR, &[("https_proxy", "http://me:s3cret@p:1")]).unwrap().unwrap();
        assert_eq!(format!("{proxy} {proxy:?}").matches("s3cret").count(), 0);
    }

    /// What is sent, and what becomes of an answer.
    async fn asked(proxy: &str, answer: &str) -> (String, io::Result<()>) {
        let proxy = named(FAR, &[("HTTPS_PROXY", proxy)]).unwrap().unwrap();
        let (mut near, mut far) = duplex(1 << 16);
        far.write_all(answer.as_bytes()).await.unwrap();
        far.shutdown().await.unwrap();
        let outcome = proxy.connect(&mut near, &Endpoint::parse(FAR).unwrap()).await;
        drop(near);
        let mut sent = String::new();
        far.read_to_string(&mut sent).await.unwrap();
        (sent, outcome)
    }

    #[tokio::test]
    async fn a_connection_is_asked_for_with_the_credentials_as_they_are_meant() {
        let (sent, outcome) =
            asked("http://me%40x:p%3A%2fw%@p:1", "HTTP/1.0 200 ok\r\nA: b\r\n\r\n").await;
        outcome.unwrap();
        let agent = env!("CARGO_PKG_VERSION");
        let encoded = BASE64.encode(b"me@x:p:/w%");
        assert_eq!(
            sent,
            format!(
                "CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\
                 User-Agent: titan-download/{agent}\r\nProxy-Authorization: Basic {encoded}\r\n\r\n"
            )
        );
        let (sent, _) = asked("p:1", "HTTP/1.1 200 \n\n").await;
        assert!(!sent.contains("Authorization"), "{sent}");
    }

    #[tokio::test]
    async fn an_answer_says_whether_asking_again_can_help() {
        let check = async |answer: &str, kind, part: &str| {
            let (_, outcome) = asked("http://me:s3cret@p:1", answer).await;
            let error = outcome.unwrap_err();
            let said = error.to_string();
            assert_eq!(error.kind(), kind, "{answer:?}: {said}");
            assert!(said.starts_with("the proxy `http://p:1` of `HTTPS_PROXY` "), "{said}");
            assert!(said.contains(part) && !said.contains("s3cret"), "{said}");
        };
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        check("HTTP/1.1 407 no\r\n\r\n", InvalidInput, "refuses the user name").await;
        check("HTTP/1.1 403 no\r\n\r\n", InvalidInput, "`api.example.com:443` (HTTP 403)").await;
        check("HTTP/1.1 302 no\r\n\r\n", InvalidInput, "(HTTP 302)").await;
        check("HTTP/1.1 502 no\r\n\r\n", Other, "(HTTP 502)").await;
        check("HTTP/1.1 429 no\r\n\r\n", Other, "(HTTP 429)").await;
        check("HTTP/1.1 200 ok\r\n", UnexpectedEof, "ended the connection").await;
        check("", UnexpectedEof, "ended the connection").await;
        check("SSH-2.0-x\r\n\r\n", InvalidData, "does not answer as an HTTP proxy").await;
        check("HTTP/1.1 7\r\n\r\n", InvalidData, "does not answer").await;
        check(&"x".repeat(MOST_HEAD_BYTES + 1), InvalidData, "has no end").await;
    }
}
