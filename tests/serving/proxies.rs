use super::harness::{ISSUER, LISTEN, Setup, say};
use elevate::protocol::messages::Metadata;

fn caller_of_last_request(lines: &[serde_json::Value], endpoint: &str) -> String {
    let line = lines.iter().rev().find(|line| line["message"] == "request" && line["endpoint"] == endpoint);
    line.expect("there is a line").get("caller").unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_who_is_behind_them() {
    let service = Setup::listening(&format!("{LISTEN}trusted_proxies = [\"127.0.0.7/32\"]\n")).start();
    let ask = async |last: u8| {
        let request = service.client_at(last).get(service.url("/company/jwks"));
        let request =
            request.header("X-Forwarded-For", "198.51.100.3, 192.0.2.77").header("Forwarded", "for=192.0.2.1");
        assert_eq!(request.header("X-Forwarded-Host", "evil.example").send().await.unwrap().status(), 200);
        caller_of_last_request(&service.lines(), "/jwks")
    };
    assert_eq!(ask(1).await, "127.0.0.1", "forged");
    assert_eq!(ask(7).await, "192.0.2.77", "what the proxy wrote, and not what its caller did");
    assert_eq!(ask(8).await, "127.0.0.8", "a neighbour of the proxy is nobody");
    // Whatever a proxy says, the issuer is who it is.
    let request = service.client_at(7).get(service.url("/.well-known/oauth-authorization-server/company"));
    let request = request.header("X-Forwarded-Host", "evil.example").header("Host", "evil.example");
    let metadata: Metadata = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata.issuer, ISSUER);
    assert_eq!(metadata.token_endpoint, format!("{ISSUER}/token"));
}

#[test]
fn without_tls_it_talks_to_its_proxies_alone() {
    let listen = "[listen]\naddress = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\nplain_http = true\n\
                  trusted_proxies = [\"127.0.0.7/32\"]\n";
    let service = Setup::listening(listen).start();
    let request =
        b"GET /company/jwks HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.77\r\nConnection: close\r\n\r\n";
    let answer = say(service.connect_from(7), request);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(caller_of_last_request(&service.lines(), "/jwks"), "192.0.2.77");
    assert_eq!(say(service.connect_from(8), request), b"", "not a word");
    service.line("turned away", |line| line["reason"] == "no_proxy" && line["caller"] == "127.0.0.8");
}

#[tokio::test]
async fn a_flood_through_a_proxy_is_its_callers_alone() {
    let listen = format!("{LISTEN}trusted_proxies = [\"127.0.0.7/32\"]\nrequests_per_second = 1\n");
    let service = Setup::listening(&listen).start();
    let proxy = service.client_at(7);
    let of = async |caller: &str| {
        let request = proxy.get(service.url("/company/jwks")).header("X-Forwarded-For", caller);
        request.send().await.unwrap().status().as_u16()
    };
    let mut flood = 0;
    while of("192.0.2.1").await == 200 {
        flood += 1;
        assert!(flood < 1000, "no end");
    }
    assert_eq!(of("192.0.2.1").await, 429);
    assert_eq!(of("192.0.2.2").await, 200);
}
