//! `elevate RESOURCE [-- COMMAND]`, `run`, `token`, `env`.

use crate::client::Device;
use crate::client::cli::{AskOptions, OnExpiry, RunOptions};
use crate::client::config::Delivery;
use crate::client::deliver::renewed::{RenewedFile, check_place};
use crate::client::deliver::run::{self, NotStarted};
use crate::client::deliver::shells::Syntax;
use crate::client::deliver::watch::{Renewal, Watch};
use crate::client::deliver::{Environment, credential, environment, renewed_environment};
use crate::client::elevation::{self, Cache, Held, Purpose, Wanted};
use crate::client::error::Error;
use crate::client::terminal::Terminal;
use crate::clock::{human, seconds_between};
use crate::protocol::messages::ErrorCode;
use crate::protocol::names::ResourceName;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;

/// Without a command: elevates and keeps. With one: runs it with the credential.
pub fn run(
    device: Device,
    ask: &AskOptions,
    options: RunOptions,
    renew: bool,
    resource: ResourceName,
    command: &[OsString],
) -> Result<u8, Error> {
    if command.is_empty() {
        return keep(&device, ask, options, renew, resource);
    }
    let delivery = device.config.delivery(&resource);
    let file = if options.keep_fresh { Some(renewable(&device, &resource, &delivery)?) } else { None };
    let mut wanted = wanted(ask, renew, resource);
    wanted.command =
        command.first().and_then(|word| Path::new(word).file_name()).map(|name| name.to_string_lossy().into_owned());
    if options.keep_fresh {
        wanted.purpose = Purpose::Renewal;
    }
    if options.once {
        // A grant that ends with the command is the command's own.
        wanted.cache = Cache::Ignore;
    }
    let held = elevation::elevate(&device, &wanted)?;
    let terminal = device.terminal;
    let ended = if options == RunOptions::default() {
        let environment = environment(&held, &delivery)?;
        drop(device);
        Err(run::become_command(command, &environment))
    } else {
        let prepared = match file {
            Some(name) => renewed(&device, &wanted, &held, &name).map(|(environment, it)| (environment, Some(it))),
            None => environment(&held, &delivery).map(|environment| (environment, None)),
        };
        supervise(&device, options.once, held, prepared, options.on_expiry, command)?
    };
    match ended {
        Ok(status) => Ok(run::end_like(status)),
        Err(not_started) => {
            terminal.error(&not_started.error);
            Ok(not_started.status)
        }
    }
}

/// The variable that names the file of a token that is renewed.
fn renewable(device: &Device, resource: &ResourceName, delivery: &Delivery) -> Result<String, Error> {
    let Some(name) = delivery.file.clone() else {
        return Err(Error::usage(format!("{resource} is handed over in a variable, which can't be renewed"))
            .hint(format!("write in elevate.toml: [resource.{resource}] and below it file = \"VARIABLE\"")));
    };
    check_place(&device.places.run)?;
    Ok(name)
}

/// What a command gets whose token is renewed, and what renews it: on a device that prompts nobody and says nothing.
fn renewed(device: &Device, wanted: &Wanted, held: &Held, name: &str) -> Result<(Environment, Renewal), Error> {
    let file = RenewedFile::make(&device.places.run, credential(held))?;
    let environment = renewed_environment(held, name, &file);
    let silent = Terminal { json: true, ..Terminal::default() };
    let identity_token_file = device.identity_token_file.clone();
    let device = Device::new(device.places.clone(), Some(&device.authority), silent, true, device.presence)?;
    Ok((environment, Renewal::new(Device { identity_token_file, ..device }, wanted, file)))
}

/// Runs the command as a child; what is still to be done is done when it has ended, and nothing of it is left then. With
/// `once` nor is a grant left, also where nothing could be `prepared`.
pub fn supervise(
    device: &Device,
    once: bool,
    held: Held,
    prepared: Result<(Environment, Option<Renewal>), Error>,
    on_expiry: Option<OnExpiry>,
    command: &[OsString],
) -> Result<Result<ExitStatus, NotStarted>, Error> {
    let revoke = || {
        if once {
            end(device, &held);
        }
    };
    let (environment, renewal) = prepared.inspect_err(|_| revoke())?;
    let running = match run::start(command, environment) {
        Ok(running) => running,
        Err(not_started) => {
            revoke();
            return Ok(Err(not_started));
        }
    };
    let watch = (on_expiry.is_some() || renewal.is_some())
        .then(|| Watch::start(running.pid(), &held, on_expiry, renewal, device.clock.clone(), device.terminal));
    // What has to be revoked is kept; without that, no credential stays in our memory.
    let mut own: Vec<Held> = once.then_some(held).into_iter().collect();
    let over = running.to_its_end();
    let renewed = watch.map(Watch::end).unwrap_or_default();
    if once {
        own.extend(renewed);
        let now = device.clock.now();
        own.iter().filter(|held| !held.grant.is_expired(now)).for_each(|held| end(device, held));
    }
    over.status().map(Ok)
}

/// Revokes the grant of a command that is over; what keeps it from that is only said.
fn end(device: &Device, held: &Held) {
    if let Err(error) = device.api().and_then(|api| api.revoke(&held.grant.access_token)) {
        let left = human(seconds_between(device.clock.now(), held.grant.expires_at));
        device.terminal.warning(&format!("the grant could not be revoked and ends by itself in {left}: {error}"));
    }
}

fn keep(
    device: &Device,
    ask: &AskOptions,
    options: RunOptions,
    renew: bool,
    resource: ResourceName,
) -> Result<u8, Error> {
    if options.keep_fresh || options.on_expiry.is_some() {
        let renews = options.keep_fresh;
        return Err(Error::usage("--renew and --on-expiry are for a command, and there is none").hint(if renews {
            format!("write: elevate --renew {resource} -- COMMAND; `elevate -v {resource}` renews what is held")
        } else {
            format!("write: elevate --on-expiry WHAT {resource} -- COMMAND")
        }));
    }
    if options.once || ask.ignore_cache {
        return Err(Error::usage("--once and -k keep nothing, and there is no command")
            .hint(format!("write: elevate {} {resource} -- COMMAND", if options.once { "--once" } else { "-k" })));
    }
    // Its purpose is to store: without a keyring there is nothing to do.
    device.grant_store()?.reach_id()?;
    let held = elevation::elevate(device, &wanted(ask, renew, resource))?;
    let Some(keyring) = held.kept_in else {
        return Err(Error::new(ErrorCode::NoKeyring, "the grant could not be kept")
            .hint("use it at once: elevate RESOURCE -- COMMAND"));
    };
    let left = human(seconds_between(device.clock.now(), held.grant.expires_at));
    let answer = json!({ "version": 1, "grant": super::status::row(device, &held.grant, keyring)? });
    let how = if held.cached { "held already" } else { "granted" };
    if device.terminal.json {
        device.terminal.answer(&answer, String::new)?;
    } else {
        device.terminal.note(&format!("{} {how}, {left} left, in the {keyring}", held.grant.resource));
    }
    Ok(0)
}

/// `elevate token`.
pub fn token(device: &Device, ask: &AskOptions, resource: ResourceName) -> Result<u8, Error> {
    let mut wanted = wanted(ask, false, resource);
    wanted.purpose = Purpose::Token;
    let held = elevation::elevate(device, &wanted)?;
    if device.terminal.json {
        let answer = token_json(device, &held);
        device.terminal.data(&format!("{answer}\n"))?;
    } else {
        device.terminal.data(&format!("{}\n", held.grant.access_token.expose()))?;
    }
    Ok(0)
}

fn token_json(device: &Device, held: &Held) -> Value {
    json!({
        "version": 1,
        "resource": held.grant.resource,
        "access_token": held.grant.access_token,
        "token_type": "DPoP",
        "expires_at": held.grant.expires_at,
        "scope": held.claims.scope,
        "grant_id": held.claims.jti,
        "acr": held.claims.acr,
        "amr": held.claims.amr,
        "receipt": device.trust().receipt(&held.claims.jti),
    })
}

/// `elevate env`.
pub fn env(device: &Device, ask: &AskOptions, syntax: Syntax, resource: ResourceName) -> Result<u8, Error> {
    let delivery = device.config.delivery(&resource);
    if delivery.file.is_some() {
        return Err(Error::usage(format!("{resource} is handed over as a private file, which needs a command"))
            .hint(format!("write: elevate {resource} -- COMMAND")));
    }
    let held = elevation::elevate(device, &wanted(ask, false, resource))?;
    let environment = environment(&held, &delivery)?;
    if device.terminal.json {
        let variables: serde_json::Map<String, Value> =
            environment.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        device
            .terminal
            .data(&format!("{}\n", json!({ "version": 1, "resource": held.grant.resource, "env": variables })))?;
    } else {
        let exports = environment.variables.iter().map(|(name, value)| syntax.export(name, value.expose()));
        device.terminal.data(&exports.collect::<String>())?;
    }
    Ok(0)
}

/// What was typed, as what is wanted.
pub fn wanted(ask: &AskOptions, renew: bool, resource: ResourceName) -> Wanted {
    Wanted {
        scope: ask.scope.clone().unwrap_or_default(),
        ttl: ask.ttl,
        min_ttl: ask.min_ttl,
        reason: ask.reason.clone(),
        cache: match (renew, ask.ignore_cache) {
            (_, true) => Cache::Ignore,
            (true, false) => Cache::Renew,
            (false, false) => Cache::Use,
        },
        ..Wanted::of(resource)
    }
}
