//! Which address of a host is connected to: the first that answers.
//!
//! Follows RFC 8305 ("Happy Eyeballs"): a host with a broken IPv6 route, or with one machine that is
//! down, costs a quarter of a second and not the whole time for connecting.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

/// The next address is tried beside those that have not answered yet. RFC 8305, section 5.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// The time that one address has. Shorter than the time for the whole connection, so that its end
/// can be told.
const EACH_WITHIN: Duration = Duration::from_secs(10);

/// The addresses with their families in turns, in the order of the resolver otherwise: a family
/// that leads nowhere never stands before all addresses of the other.
pub(super) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_v6_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_v6_first);
    let mut other = other.into_iter();
    let mut ordered = Vec::new();
    for address in preferred {
        ordered.push(address);
        ordered.extend(other.next());
    }
    ordered.extend(other);
    ordered
}

/// Connects to the first address that answers and drops the other attempts; `tried` tells which
/// addresses were begun with, also to whoever loses patience and drops this.
///
/// # Errors
///
/// If none answers, with the reason of each.
pub(super) async fn first_to_connect<T, F: Future<Output = io::Result<T>>>(
    addresses: &[SocketAddr],
    tried: &mut Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut untried = addresses.iter().copied().peekable();
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        if let Some(address) = untried.next() {
            tried.push(address);
            let connecting = connect(address);
            attempts.push(async move { (address, timeout(EACH_WITHIN, connecting).await) });
        } else if attempts.is_empty() {
            return Err(NoneAnswered::new(failures).into());
        }
        let is_last = untried.peek().is_none();
        tokio::select! {
            biased;
            Some((address, outcome)) = attempts.next() => match outcome {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failures.push((address, error)),
                Err(_) => {
                    let secs = EACH_WITHIN.as_secs();
                    let late = format!("no answer within {secs} s");
                    failures.push((address, io::Error::new(io::ErrorKind::TimedOut, late)));
                }
            },
            () = sleep(NEXT_AFTER), if !is_last => {}
        }
    }
}

/// No address could be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{}", shown(.0))]
struct NoneAnswered(Vec<(SocketAddr, io::Error)>);

impl NoneAnswered {
    fn new(failures: Vec<(SocketAddr, io::Error)>) -> Self {
        Self(failures)
    }
}

impl From<NoneAnswered> for io::Error {
    fn from(none: NoneAnswered) -> Self {
        let kind = none.0.last().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
        // That an address cannot be used says nothing about the endpoint that was named.
        let kind = if kind == io::ErrorKind::InvalidInput { io::ErrorKind::Other } else { kind };
        Self::new(kind, none)
    }
}

fn shown(failures: &[(SocketAddr, io::Error)]) -> String {
    if failures.is_empty() {
        return "the name has no address".to_owned();
    }
    let each: Vec<_> =
        failures.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    each.join("; ")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::time::Instant;

    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_first_of_the_resolver_stays_first() {
        let check = |given, expected| {
            assert_eq!(interleaved(addresses(given)), addresses(expected), "{given}");
        };
        check("", "");
        check("1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1");
        check(
            "[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 1.1.1.2:1",
            "[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1 [::3]:1",
        );
        check("1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1", "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1");
    }

    /// When each address was begun with, in milliseconds, and which won.
    async fn race(
        given: &str,
        connect: impl AsyncFn(SocketAddr) -> io::Result<()>,
    ) -> (Vec<u128>, io::Result<SocketAddr>) {
        let (began, starts) = (Instant::now(), RefCell::new(Vec::new()));
        let mut tried = Vec::new();
        let (connect, starts_in) = (&connect, &starts);
        let given = addresses(given);
        let won = first_to_connect(&given, &mut tried, |address| async move {
            starts_in.borrow_mut().push(began.elapsed().as_millis());
            connect(address).await.map(|()| address)
        });
        let won = won.await;
        assert_eq!(tried.len(), starts.borrow().len());
        (starts.into_inner(), won)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_everything_costs_a_quarter_of_a_second() {
        let connect = async |address: SocketAddr| match address.port() {
            3 => Ok(()),
            _ => pending().await,
        };
        let (starts, won) = race("[::1]:1 1.1.1.1:2 [::1]:3 [::1]:4", connect).await;
        assert_eq!(starts, [0, 250, 500]);
        assert_eq!(won.unwrap().port(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_waited_out_and_a_slow_one_may_still_win() {
        let connect = async |address: SocketAddr| match address.port() {
            1 => {
                sleep(Duration::from_millis(600)).await;
                Ok(())
            }
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => pending().await,
        };
        let (starts, won) = race("1.1.1.1:1 1.1.1.1:2 1.1.1.1:3", connect).await;
        assert_eq!(starts, [0, 250, 250]);
        assert_eq!(won.unwrap().port(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_is_given_up_by_itself_and_named() {
        let connect = async |address: SocketAddr| match address.port() {
            1 => pending().await,
            _ => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "refused")),
        };
        let began = Instant::now();
        let (_, won) = race("[::1]:1 1.1.1.1:2", connect).await;
        let error = won.unwrap_err();
        assert_eq!(began.elapsed(), EACH_WITHIN);
        assert_eq!(error.to_string(), "1.1.1.1:2: refused; [::1]:1: no answer within 10 s");
        let (_, none) = race("", async |_| Ok(())).await;
        assert_eq!(none.unwrap_err().to_string(), "the name has no address");
    }

    /// A listener that takes no connection out of its full queue answers no further one.
    #[tokio::test]
    async fn a_real_address_that_does_not_answer_is_overtaken() {
        let deaf = TcpSocket::new_v4().unwrap();
        deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let deaf = deaf.listen(0).unwrap();
        let deaf_at = deaf.local_addr().unwrap();
        let mut queued = Vec::new();
        let is_deaf = loop {
            match timeout(Duration::from_millis(500), TcpStream::connect(deaf_at)).await {
                Ok(Ok(stream)) if queued.len() < 64 => queued.push(stream),
                Err(_) => break true,
                _ => break false,
            }
        };
        if !is_deaf {
            println!("skipped: this system answers also where nobody takes the connection");
            return;
        }
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good_at = good.local_addr().unwrap();
        let mut tried = Vec::new();
        let both = [deaf_at, good_at];
        let won = first_to_connect(&both, &mut tried, TcpStream::connect);
        let won = timeout(Duration::from_secs(8), won).await.expect("overtaken").unwrap();
        assert_eq!(won.peer_addr().unwrap(), good_at);
        assert_eq!(tried, [deaf_at, good_at]);
    }
}
