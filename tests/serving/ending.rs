use super::harness::{Service, connect};
use crate::cli::harness::{DEADLINE, finish, patiently, piped, spawn};
use std::fs;
use std::io::Write as _;
use std::process::Command;

#[tokio::test]
async fn a_request_that_was_taken_is_answered_before_it_ends() {
    for http in ["--http1.1", "--http2"] {
        let mut service = Service::start();
        let ca = service.setup.dir.path().join("ca.pem");
        fs::write(&ca, &service.setup.ca.pem).unwrap();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", http, "-X", "POST", "-T", "-", "-w", "\n%{http_code}", "--cacert"]);
        command.arg(ca).args(["-H", "Content-Type: application/x-www-form-urlencoded", "-H", "Expect:"]);
        let mut caller = spawn(piped(command.arg(service.url("/company/introspect")).env_clear()));
        let body = caller.stdin.as_mut().unwrap();
        body.write_all(b"token=some").unwrap();
        body.flush().unwrap();
        while service.number("elevate_requests_under_way").await < 1.0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }

        service.terminate();
        // It takes nobody any more, and still has this one.
        let address = service.address;
        let refuses = || std::net::TcpStream::connect(address).is_err().then_some(());
        patiently(DEADLINE, refuses).expect("it stops listening");

        let answer = finish(caller, b"body").ok();
        let (body, status) = answer.stdout.rsplit_once('\n').unwrap();
        assert!(body.contains("error") || body.contains("active"), "{http} {status}: {body}");
        assert!(status.starts_with(['2', '4']), "{http} {status}: {body}");
        assert!(service.wait().success(), "{}", service.said());
    }
}

#[tokio::test]
async fn whoever_watches_hears_of_the_end_before_it_comes() {
    let mut service = Service::start();
    assert_eq!(service.watched("/readyz").await.0, 200);
    // Bytes of a request that never becomes one do not keep it.
    let mut idle = connect(service.metrics, 1);
    idle.write_all(b"GET /readyz HT").unwrap();
    let client = service.client();
    assert_eq!(client.get(service.url("/readyz")).send().await.unwrap().status(), 200);
    service.terminate();
    // Until the connection closes, the answer is no.
    while let Ok(answer) = client.get(service.url("/readyz")).send().await {
        if answer.status() == 503 {
            assert_eq!(answer.text().await.unwrap(), "not ready\n");
            break;
        }
    }
    drop(idle);
    assert!(service.wait().success(), "{}", service.said());
}
