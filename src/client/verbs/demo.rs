//! `elevate demo`: the main job from end to end, on a real authority in a temporary directory that is gone afterwards.

use super::init::{authority_toml, write_rules};
use super::{audit, drop, explain, key, list, status};
use crate::client::Device;
use crate::client::address::Address;
use crate::client::cli::AuditVerb;
use crate::client::deliver::{environment, run};
use crate::client::elevation::{Held, Wanted, elevate};
use crate::client::embedded::stop;
use crate::client::error::Error;
use crate::client::places::Places;
use crate::client::presence::Presence;
use crate::client::signals;
use crate::client::terminal::{Terminal, person_is_there};
use crate::clock::{human, seconds_between};
use crate::files::own_directory;
use crate::protocol::access_token::verify;
use crate::protocol::encoding::random;
use crate::protocol::messages::ErrorCode;
use crate::protocol::secret::Secret;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const AUDIENCE: &str = "https://orders.demo.invalid";
const RESOURCES: &str = r#"
[resource.orders-read]
kind = "jwt"
description = "read orders"
audience = "https://orders.demo.invalid"
sensitivity = "low"
scopes = ["read"]

[resource.orders-refund]
kind = "jwt"
description = "refund orders"
audience = "https://orders.demo.invalid"
sensitivity = "sensitive"
scopes = ["refund"]
"#;

pub fn run(terminal: Terminal, yes: bool) -> Result<u8, Error> {
    if terminal.json {
        return Err(Error::usage("the demo is for people, and has no --json").hint("write: elevate demo"));
    }
    if !yes && !person_is_there() {
        return Err(Error::new(ErrorCode::InteractionRequired, "the demo waits for Enter, and there is no terminal")
            .hint("write: elevate demo --yes"));
    }
    let home = Home::make()?;
    let presence = if yes { Presence::Unattended } else { Presence::Person };
    let device = Device::new(home.places.clone(), Some(&Address::Embedded), terminal, false, presence)?;
    let (interrupted, root) = (home.places.clone(), home.root.clone());
    signals::set_last_will(Some(Box::new(move || leave_nothing(terminal, &interrupted, &root))));
    let ended = show(&device);
    leave_nothing(terminal, &home.places, &home.root);
    signals::set_last_will(None);
    ended?;
    terminal.data("\nThat was all; the directory, its authority and its grants are gone.\n")?;
    terminal.data("For real use: elevate init\n")?;
    Ok(0)
}

fn show(device: &Device) -> Result<(), Error> {
    let say = |text: &str| device.terminal.data(text);
    say(&format!(
        "A real authority, in {}\n",
        device.places.config.parent().unwrap_or(&device.places.config).display()
    ))?;
    let config = authority_toml(true);
    let config = config.split("[resource.example]").next().unwrap_or_default().to_owned() + RESOURCES;
    write_rules(&device.places, &config)?;

    say("\n$ elevate key enroll --software demo     (a software key: a file)\n")?;
    key::enroll_software(device, "demo".parse()?)?;
    let service = Service::start(device)?;

    say("\n$ elevate orders-read                    (low risk: no friction)\n")?;
    let low = elevate(device, &wanted("orders-read", None)?)?;
    told(device, &low)?;

    say("\n$ elevate explain orders-refund\n")?;
    explain::run(device, &"orders-refund".parse()?)?;

    say("\n$ elevate --reason 'order 1042 came twice' orders-refund -- call-service\n")?;
    let held = elevate(device, &wanted("orders-refund", Some("order 1042 came twice"))?)?;
    call_service(device, &held, service.port, true)?;

    say("\n$ elevate list\n")?;
    list::run(device)?;

    say("\n$ elevate drop orders-refund\n")?;
    drop::run(device, &drop::Which::Of(std::slice::from_ref(&held.grant.resource)))?;
    say("\nthe same call with the same token, which would have been good for a while:\n")?;
    call_service(device, &held, service.port, false)?;

    say("\n$ elevate status\n")?;
    status::run(device, None, None)?;
    say("\n$ elevate audit show\n")?;
    audit::run(device, AuditVerb::Show { last: 20 })?;
    say("\n$ elevate audit verify\n")?;
    audit::run(device, AuditVerb::Verify)?;
    Ok(())
}

fn wanted(resource: &str, reason: Option<&str>) -> Result<Wanted, Error> {
    Ok(Wanted {
        reason: reason.map(str::to_owned),
        command: reason.map(|_| "call-service".to_owned()),
        ..Wanted::of(resource.parse()?)
    })
}

/// Says what `elevate RESOURCE` says.
fn told(device: &Device, held: &Held) -> Result<(), Error> {
    let left = human(seconds_between(device.clock.now(), held.grant.expires_at));
    let kept =
        held.kept_in.map_or_else(|| "not kept: there is no keyring".to_owned(), |keyring| format!("in the {keyring}"));
    device.terminal.data(&format!("elevate: {} granted, {left} left, {kept}\n", held.grant.resource))
}

/// Runs a command with the credential, which calls the service; fails where the service's answer is not as expected.
fn call_service(device: &Device, held: &Held, port: u16, accepted: bool) -> Result<(), Error> {
    let program =
        std::env::current_exe().map_err(|error| Error::failed(format!("this program can't be found: {error}")))?;
    let words: [OsString; 3] = [program.into(), "demo-call".into(), port.to_string().into()];
    let environment = environment(held, &device.config.delivery(&held.grant.resource))?;
    let running = run::start(&words, environment).map_err(|not_started| not_started.error)?;
    let status = running.to_its_end().status()?;
    if status.success() == accepted {
        return Ok(());
    }
    Err(Error::failed(if accepted { "the service refused a good token" } else { "the service took a revoked token" }))
}

/// `elevate demo-call PORT`: the command that the demo runs. It has a token in its environment, and nothing else.
pub fn call(terminal: Terminal, port: u16) -> Result<u8, Error> {
    let token = Secret::new(std::env::var("ELEVATE_TOKEN").map_err(|_| Error::usage("there is no ELEVATE_TOKEN"))?);
    let talk = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        write!(stream, "POST /refund HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", token.expose())?;
        let mut answer = String::new();
        stream.take(64 << 10).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer =
        talk().map_err(|error: std::io::Error| Error::failed(format!("the service can't be reached: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).unwrap_or("?");
    terminal.data(&format!("  {status}: {body}\n"))?;
    Ok(u8::from(!status.starts_with("200")))
}

/// A service as one would write it: it verifies tokens with the authority's public keys, and asks whether they were revoked.
struct Service {
    port: u16,
}

impl Service {
    fn start(device: &Device) -> Result<Self, Error> {
        let fault = |error: std::io::Error| Error::failed(format!("the demo's service can't listen: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fault)?;
        let port = listener.local_addr().map_err(fault)?.port();
        let (places, terminal) = (device.places.clone(), device.terminal);
        std::thread::spawn(move || {
            let Ok(device) = Device::new(places, Some(&Address::Embedded), terminal, true, Presence::Person) else {
                return;
            };
            for stream in listener.incoming().flatten() {
                let _ = serve(&device, stream);
            }
        });
        Ok(Self { port })
    }
}

fn serve(device: &Device, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut token = None;
    for line in BufReader::new((&stream).take(64 << 10)).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        token = line.strip_prefix("Authorization: Bearer ").map(|token| Secret::new(token.to_owned())).or(token);
    }
    let (status, body) = match token.map(|token| accept(device, &token)) {
        Some(Ok(body)) => ("200 OK", body),
        Some(Err(reason)) => ("401 Unauthorized", reason),
        None => ("401 Unauthorized", "there is no token".to_owned()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn accept(device: &Device, token: &Secret) -> Result<String, String> {
    let api = device.api().map_err(|error| error.to_string())?;
    let keys = api.jwks().map_err(|error| error.to_string())?;
    let claims = verify(token.expose(), &keys, api.known().issuer.as_str(), Some(AUDIENCE), device.clock.now())
        .map_err(|error| error.to_string())?;
    match api.introspect(token) {
        Ok(answer) if answer.active => Ok(format!("refunded, for {} with {}", claims.sub, claims.amr.join("+"))),
        Ok(_) => Err("the token was revoked".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Where the demo lives.
struct Home {
    root: PathBuf,
    places: Places,
}

impl Home {
    fn make() -> Result<Self, Error> {
        let suffix = u64::from_be_bytes(random::<8>());
        let root = std::env::temp_dir().join(format!("elevate-demo-{suffix:016x}"));
        own_directory(&root)?;
        Ok(Self { places: Places::below(&root), root })
    }
}

/// Whatever happened: nothing stays in the keyring, no process, no directory.
fn leave_nothing(terminal: Terminal, places: &Places, root: &Path) {
    if let Ok(device) = Device::new(places.clone(), Some(&Address::Embedded), terminal, true, Presence::Person) {
        let _ = device.grant_store().and_then(|store| Ok(store.clear()?));
    }
    let _ = stop(places);
    let _ = std::fs::remove_dir_all(root);
}
