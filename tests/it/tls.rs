//! Encrypted connections with the real binary: a server that cannot prove who it is is refused, at
//! once and in words, and one that can is asked like any other.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::cli::{TWO_DAYS, assert_whole, candles};
use crate::process::{Ran, Sandbox, Server};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Somebody of that name who issues certificates.
fn issuer(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server in front of `exchange` that shows a certificate for `name`, valid in these years.
async fn serve(issuer: &Issuer, name: &str, years: [i32; 2], exchange: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (host, path) = exchange.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let behind: SocketAddr = host.parse().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Whoever does not trust the certificate hangs up, which is what is tested.
                let Ok(mut secure) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut secure, &mut plain).await;
            });
        }
    });
    format!("wss://localhost:{port}/{path}")
}

/// Downloads from `url`, trusting `trusted` and nobody else.
async fn download(url: String, trusted: String, sandbox: Arc<Sandbox>) -> Ran {
    let run = move || {
        fs::write(sandbox.path("trusted.pem"), trusted).unwrap();
        let mut command = sandbox.command(&candles(&url, TWO_DAYS));
        command.env("SSL_CERT_FILE", sandbox.path("trusted.pem")).env_remove("SSL_CERT_DIR");
        command.output().unwrap().into()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_proves_nothing_is_refused() {
    let exchange = Server::start(&[]);
    let (trusted, stranger, liar) = (issuer("trusted"), issuer("stranger"), issuer("trusted"));
    let valid = [2020, 2120];
    for (issuer, name, years, said) in [
        (&stranger, "localhost", valid, "nobody this machine trusts has issued it"),
        (&liar, "localhost", valid, "nobody this machine trusts has issued it"),
        (&trusted, "localhost", [2020, 2021], "it has expired"),
        (&trusted, "localhost", [2110, 2120], "it is not valid yet"),
        (&trusted, "example.com", valid, "it was issued for another host"),
    ] {
        let url = serve(issuer, name, years, &exchange.url).await;
        let sandbox = Arc::new(Sandbox::new());
        let ran = download(url, trusted.pem(), Arc::clone(&sandbox)).await.expect(2);
        assert!(ran.stderr.contains("the certificate of `wss://localhost:"), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert!(!sandbox.path("data").exists());
    }
    assert_eq!(exchange.end().len(), 0, "a request went through an untrusted connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_trusted_carries_a_download() {
    let exchange = Server::start(&[]);
    let trusted = issuer("trusted");
    let url = serve(&trusted, "localhost", [2020, 2120], &exchange.url).await;
    let sandbox = Arc::new(Sandbox::new());
    download(url, trusted.pem(), Arc::clone(&sandbox)).await.expect(0);
    assert_whole(&sandbox.path("data"), &sandbox, TWO_DAYS);
}
