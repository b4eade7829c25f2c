use super::harness::{Ca, LISTEN, Service, Setup, say};
use crate::cli::harness::{Ended, finish, must_not_be_root, piped, spawn};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// `curl`, as somebody who knows the company's CA.
fn curl(service: &Service, words: &[&str]) -> Ended {
    let ca = service.setup.dir.path().join("ca.pem");
    fs::write(&ca, &service.setup.ca.pem).unwrap();
    let mut command = Command::new("curl");
    command.arg("--silent").arg("--show-error").arg("--cacert").arg(ca).args(words);
    finish(spawn(piped(command.env_clear())), b"")
}

#[test]
fn it_speaks_tls_1_3_and_1_2_and_both_versions_of_http() {
    let service = Service::start();
    let url = service.url("/company/jwks");
    for version in [&["--tlsv1.3"][..], &["--tlsv1.2", "--tls-max", "1.2"]] {
        for (http, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
            let words = [version, &[http, "-w", "\n%{http_version} %{http_code}", &url]].concat();
            let answer = curl(&service, &words).ok();
            assert!(answer.stdout.contains("\"keys\""), "{}", answer.stdout);
            assert!(answer.stdout.ends_with(&format!("\n{number} 200")), "{words:?}: {}", answer.stdout);
        }
    }
}

#[test]
fn older_tls_is_refused() {
    let service = Service::start();
    // RFC 4346 section 7.4.1.2: version 3.2, a random, no session, one cipher suite of that time, no compression.
    let hello = [&[3, 2][..], &[7; 32], &[0], &[0, 2, 0xC0, 0x13], &[1, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let record = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
    let answer = say(service.connect_from(1), &record);
    // RFC 8446 section 6: an alert, fatal: handshake_failure or protocol_version.
    assert_eq!((answer[0], answer[5]), (21, 2), "{answer:?}");
    assert!(matches!(answer[6..], [40 | 70]), "{answer:?}");
}

#[test]
fn whoever_speaks_http_to_it_is_told_so() {
    let service = Service::start();
    let answer = say(service.connect_from(1), b"GET /company/jwks HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("this is https: write it that way\n"), "{answer}");
    service.says("it speaks http");
    let garbage = say(service.connect_from(1), &[0xFF; 64]);
    assert!(garbage.len() < 16, "an alert at most: {garbage:?}");
}

#[test]
fn it_does_not_start_with_a_certificate_that_no_client_would_take() {
    must_not_be_root();
    let with = |host: &str, from, until| {
        let setup = Setup::new();
        setup.write_certificate(&setup.ca.certify(host, from, until));
        setup.refused()
    };
    let said = with("localhost", 2020, 2021);
    assert!(said.contains("tls.pem can't be used: its certificate expired at 2021-01-01"), "{said}");
    let said = with("localhost", 2110, 2120);
    assert!(said.contains("its certificate is not valid before 2110-01-01"), "{said}");
    let said = with("elsewhere.example", 2020, 2120);
    assert!(said.contains("its certificate is not for localhost, the issuer's host"), "{said}");

    let spoiled = |spoil: &dyn Fn(&Setup)| {
        let setup = Setup::new();
        spoil(&setup);
        setup.refused()
    };
    let said = spoiled(&|setup| setup.write("tls-key.pem", &setup.ca.certify("localhost", 2020, 2120).1));
    assert!(said.contains("tls-key.pem can't be used: it is not the key of the certificate"), "{said}");
    let said = spoiled(&|setup| setup.write("tls.pem", "no certificate\n"));
    assert!(said.contains("tls.pem can't be used: there is no certificate in it"), "{said}");
    let said = spoiled(&|setup| setup.write("tls-key.pem", "no key\n"));
    assert!(said.contains("tls-key.pem can't be used: there is no private key in it"), "{said}");
    let said = spoiled(&|setup| fs::remove_file(setup.config().join("tls.pem")).unwrap());
    assert!(said.contains("tls.pem does not exist, and [listen] names it"), "{said}");
    let mode = |name: &'static str, mode| {
        spoiled(&|setup| {
            fs::set_permissions(setup.config().join(name), fs::Permissions::from_mode(mode)).unwrap();
        })
    };
    let said = mode("tls-key.pem", 0o640);
    assert!(said.contains("tls-key.pem can't be used: others can read it: run chmod 600 on it"), "{said}");
    let said = mode("tls-key.pem", 0o000);
    assert!(said.contains("tls-key.pem can't be used: Permission denied"), "{said}");
    let said = mode("tls.pem", 0o666);
    assert!(said.contains("tls.pem can't be used: others can write it"), "{said}");
}

#[test]
fn listen_is_checked_before_anything_is_served() {
    let refused = |listen: &str| Setup::listening(listen).refused();
    let said = refused("[listen]\naddress = \"127.0.0.1:0\"\n");
    assert!(said.contains("[listen] needs a certificate and its key"), "{said}");
    let said = refused("[listen]\naddress = \"127.0.0.1:0\"\nplain_http = true\n");
    assert!(said.contains("plain_http needs trusted_proxies"), "{said}");
    let said = refused(&format!("{LISTEN}plain_http = true\ntrusted_proxies = [\"127.0.0.1/32\"]\n"));
    assert!(said.contains("plain_http takes no certificate"), "{said}");
    let said = refused(&format!("{LISTEN}trusted_proxies = [\"0.0.0.0/0\"]\n"));
    assert!(said.contains("would trust every address there is"), "{said}");
    let setup = Setup::new();
    let text = fs::read_to_string(setup.config().join("authority.toml")).unwrap();
    setup.write("authority.toml", text.split_once('\n').unwrap().1);
    let said = setup.refused();
    assert!(said.contains("[listen] needs an issuer"), "{said}");
    let said = refused("");
    assert!(said.contains("there is nothing to listen on"), "{said}");
    // Somebody else's port.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = refused(&LISTEN.replacen("127.0.0.1:0", &taken.local_addr().unwrap().to_string(), 1));
    assert!(said.contains("can't listen on address 127.0.0.1:"), "{said}");
}

#[tokio::test]
async fn a_new_certificate_counts_without_a_restart_and_a_broken_one_does_not() {
    let service = Service::start();
    let first = service.client();
    let ends_first = service.number("elevate_certificate_expiry_timestamp_seconds").await;
    let failures = "elevate_reload_failures_total{what=\"certificate\"}";

    service.setup.write("tls.pem", "garbage\n");
    service.line("the new certificate is not used", |line| {
        let text = line.to_string();
        text.contains("the new certificate is not used") && text.contains("there is no certificate in it")
    });
    assert_eq!(service.status("/company/jwks").await, 200, "the one before stays in force");
    assert!((service.number(failures).await - 1.0).abs() < 0.1);

    service.setup.write_certificate(&service.setup.ca.certify("elsewhere.example", 2020, 2120));
    service.says("its certificate is not for localhost");
    assert_eq!(service.status("/company/jwks").await, 200);

    // Now of another CA, so that it can be told which of them a client meets.
    let other = Ca::new();
    service.setup.write_certificate(&other.certify("localhost", 2020, 2119));
    service.says("2119-01-01T00:00:00Z");
    let of_other = reqwest::Certificate::from_pem(other.pem.as_bytes()).unwrap();
    let second =
        reqwest::Client::builder().tls_certs_only([of_other]).resolve("localhost", service.address).build().unwrap();
    let answer = second.get(service.url("/company/jwks")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(service.number("elevate_certificate_expiry_timestamp_seconds").await < ends_first);
    // Connections that are there go on; new ones meet the new certificate.
    assert!(first.get(service.url("/company/jwks")).send().await.is_err());
}
