use super::harness::{LISTEN, Service, Setup, is_over};
use crate::cli::harness::DEADLINE;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_flood_from_one_address_leaves_others_alone() {
    let service = Setup::listening(&format!("{LISTEN}requests_per_second = 5\n")).start();
    let (flooder, other) = (service.client_at(66), service.client_at(2));
    let ask = async |client: &reqwest::Client| client.get(service.url("/company/jwks")).send().await.unwrap();
    let mut answered = 0;
    let no = loop {
        let answer = ask(&flooder).await;
        if answer.status() != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 10_000, "no end");
    };
    assert!(answered >= 20, "a burst is let through: {answered}");
    assert_eq!(no.status(), 429);
    let wait: u64 = no.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    let body: serde_json::Value = no.json().await.unwrap();
    assert_eq!(body["error"], "slow_down");
    assert_eq!(body["elevate_hint"], format!("wait {wait}s"));
    for _ in 0..10 {
        assert_eq!(ask(&other).await.status(), 200);
    }
    assert!(service.number("elevate_requests_total{endpoint=\"/jwks\",status=\"429\"}").await >= 1.0);
    // A line a second, not one for each.
    let began = Instant::now();
    let refused = refusals_of(&flooder, &service).await;
    let lines = service.lines().iter().filter(|line| line["status"] == 429).count() as u64;
    assert!(refused > 50 && lines <= began.elapsed().as_secs() + 3, "{lines} lines about {refused}");
    // The flooder as well, after that time.
    until("there is room again", async || ask(&flooder).await.status() == 200).await;
}

/// Asks a hundred times; how many were refused.
async fn refusals_of(client: &reqwest::Client, service: &Service) -> usize {
    let mut refused = 0;
    for _ in 0..100 {
        let answer = client.get(service.url("/company/jwks")).send().await.unwrap();
        refused += usize::from(answer.status() == 429);
    }
    refused
}

#[tokio::test]
async fn ten_thousand_half_open_connections_leave_others_alone() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let service = Service::start();
    let mut held = Vec::new();
    let began = Instant::now();
    for round in 0..10_000 {
        held.push(service.connect_from(66));
        if round % 500 == 499 {
            assert_eq!(timeout(DEADLINE, service.status("/company/jwks")).await.unwrap(), 200);
            held.retain_mut(|stream| !is_over(stream));
        }
    }
    let took = began.elapsed();
    held.retain_mut(|stream| !is_over(stream));
    assert!(held.len() <= 2 * 256, "{} are held after {took:?}", held.len());
    let refused = "elevate_connections_refused_total{reason=\"too_many_of_one\"}";
    assert!(service.number(refused).await >= 5000.0, "most are sent away at once");
    // They can't be held for long either.
    until("the handshakes have timed out", async || {
        held.retain_mut(|stream| !is_over(stream));
        held.is_empty()
    })
    .await;
    let lines = service.lines().iter().filter(|line| line["message"] == "turned away").count();
    assert!(lines < 100, "{lines} lines in the log about {took:?}");
}

#[tokio::test]
async fn giants_are_refused() {
    let service = Service::start();
    let client = service.client();
    // It is refused before it is there: a sender that is still at it may only see that nobody listens any more.
    let status = async |request: reqwest::RequestBuilder| loop {
        if let Ok(answer) = request.try_clone().unwrap().send().await {
            break answer.status();
        }
    };
    let header = client.get(service.url("/company/jwks")).header("DPoP", "a".repeat(64 << 10));
    assert_eq!(timeout(DEADLINE, status(header)).await.unwrap(), 431);
    let mut many = client.get(service.url("/company/jwks"));
    for number in 0..500 {
        many = many.header(format!("x-{number}"), "a");
    }
    assert_eq!(timeout(DEADLINE, status(many)).await.unwrap(), 431);
    let giants = [
        client.post(service.url("/company/introspect")).form(&[("token", "a".repeat(65 << 10))]),
        client.post(service.url("/company/keys/finish")).header("DPoP", "a").body(vec![b'a'; 300 << 10]),
    ];
    for giant in giants {
        if let Ok(answer) = giant.send().await {
            assert!(answer.status().is_client_error(), "{}", answer.status());
        }
    }
    assert_eq!(service.status("/company/jwks").await, 200);
}

/// A connection over TLS, for what no client of ours would say.
async fn tls(service: &Service, last: u8, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(service.setup.ca.pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = service.connect_from(last);
    stream.set_nonblocking(true).unwrap();
    let stream = TcpStream::from_std(stream).unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// RFC 9113 section 3.4: how a client begins, and its settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn streams_that_are_reset_at_once_leave_others_alone() {
    let service = Service::start();
    let mut stream = tls(&service, 66, b"h2").await;
    stream.write_all(PREFACE).await.unwrap();
    // RFC 7541: GET https / of localhost.
    let head = [&[0x82, 0x87, 0x84, 0x41, 9][..], b"localhost"].concat();
    let mut sent = 0;
    for id in (1..200_000_u32).step_by(2) {
        let headers = [&[0, 0, u8::try_from(head.len()).unwrap(), 1, 5][..], &id.to_be_bytes(), &head].concat();
        let reset = [&[0, 0, 4, 3, 0][..], &id.to_be_bytes(), &[0, 0, 0, 8]].concat();
        // CVE-2023-44487: each is forgotten by its sender before it is answered.
        if stream.write_all(&[headers, reset].concat()).await.is_err() {
            break;
        }
        sent += 1;
        if sent % 5_000 == 0 {
            assert_eq!(timeout(DEADLINE, service.status("/company/jwks")).await.unwrap(), 200);
        }
    }
    assert_eq!(service.status("/company/jwks").await, 200);
    // Beyond its budget no such request is more than a refusal.
    let answered = service.number("elevate_requests_total{endpoint=\"other\",status=\"404\"}").await;
    assert!(answered < 3000.0, "{answered} of {sent} were looked at");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let service = Service::start();
    let tls = async |protocol: &[u8]| tls(&service, 3, protocol).await;
    let head = b"GET /company/jwks HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec();
    let slow = async |alpn: &[u8], first: Vec<u8>, drip: &[u8]| {
        let mut stream = tls(alpn).await;
        stream.write_all(&first).await.unwrap();
        let began = Instant::now();
        loop {
            if stream.write_all(drip).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            match timeout(Duration::from_millis(500), stream.read(&mut [0; 1024])).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) | Err(_) => assert!(began.elapsed() < DEADLINE, "it is never cut off"),
            }
        }
        began.elapsed()
    };
    // An HTTP/2 PING (RFC 9113 section 6.7) keeps no connection alive that asks for nothing.
    let ping = b"\0\0\x08\x06\0\0\0\0\0elevate!";
    // A body that never comes has its request's own time.
    let body = async {
        let mut stream = tls(b"http/1.1").await;
        let head = "POST /company/introspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\ntoken=";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("it is cut off");
        String::from_utf8_lossy(&answer).into_owned()
    };
    let (first, second, answer) =
        tokio::join!(slow(b"http/1.1", head, b"a"), slow(b"h2", PREFACE.to_vec(), ping), body);
    for took in [first, second] {
        assert!(took < Duration::from_secs(45), "{took:?}");
    }
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("took too long"), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut_off() {
    let service = Service::start();
    let mut stream = service.connect_from(3);
    until("the handshake has timed out", async || is_over(&mut stream)).await;
    service.says("the handshake took too long");
    assert!(service.number("elevate_connections_refused_total{reason=\"tls_too_slow\"}").await >= 1.0);
}
