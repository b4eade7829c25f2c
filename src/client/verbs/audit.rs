//! `elevate audit`: the log, checked entry by entry against everything that was ever signed.

use crate::client::Device;
use crate::client::authority_api::AuthorityApi;
use crate::client::cli::AuditVerb;
use crate::client::error::Error;
use crate::log::check::{Fault, LogCheck};
use crate::log::checkpoint;
use crate::log::leaf::{Event, Leaf, Private};
use crate::protocol::assurance::Assurance;
use crate::protocol::messages::{ErrorCode, LogEntry};
use serde_json::{Value, json};
use tlog_tiles::Hash;

pub fn run(device: &Device, verb: AuditVerb) -> Result<u8, Error> {
    match verb {
        AuditVerb::Verify => verify(device),
        AuditVerb::Show { last } => show(device, last),
    }
}

fn verify(device: &Device) -> Result<u8, Error> {
    let api = device.api()?;
    let mut faults = Vec::new();
    let (mut heads, unsigned) = signed_heads(api)?;
    faults.extend(unsigned);
    let seen = device.trust().seen(api.known())?;
    let checkpoints = heads.len();
    heads.extend(seen);
    // Entries of others that come while we read are not ours to judge.
    let top = heads.iter().map(|head| head.size).max().unwrap_or_default();
    let mut check = LogCheck::against(heads);
    let mut entries = 0;
    let size = each_entry(api, 0, top, |entry| {
        let hash = entry.hash.as_deref().and_then(|hash| Hash::parse_hash(hash).ok());
        check.push(entry.leaf.as_deref().map(str::as_bytes), hash, entry.private.as_ref());
        entries += 1;
    })?;
    faults.extend(check.finish().iter().map(Fault::to_string));
    if size > top && api.log_checkpoints(top)?.checkpoints.is_empty() {
        faults.push(Fault::Unsigned(top).to_string());
    }
    let good = faults.is_empty();
    let answer =
        json!({ "version": 1, "good": good, "entries": entries, "checkpoints": checkpoints, "faults": faults });
    if device.terminal.json || good {
        device.terminal.answer(&answer, || {
            let continues =
                seen.map_or_else(String::new, |head| format!(", and continue the {} seen by this device", head.size));
            format!("the log is good: {entries} entries stand under {checkpoints} signed checkpoints{continues}\n")
        })?;
    }
    match faults.first() {
        None => Ok(0),
        Some(_) if device.terminal.json => Ok(1),
        Some(_) => {
            device.terminal.text(&format!("the log is not what was signed:\n  {}\n", faults.join("\n  ")));
            Err(Error::new(ErrorCode::No, format!("the log has {} faults", faults.len()))
                .hint("keep the database as it is for whoever looks into it; a backup brings the log back"))
        }
    }
}

/// Every head that was signed, and a fault for each checkpoint that is not the log's.
fn signed_heads(api: &AuthorityApi) -> Result<(Vec<checkpoint::TreeHead>, Vec<String>), Error> {
    let (mut heads, mut faults, mut above) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = api.log_checkpoints(above)?.checkpoints;
        if page.is_empty() {
            return Ok((heads, faults));
        }
        let before = above;
        for note in &page {
            // The size a note claims only says where to go on reading.
            let claimed = note.lines().nth(1).and_then(|line| line.parse::<u64>().ok());
            above = above.max(claimed.unwrap_or(above));
            match checkpoint::open(note, &api.known().log_key) {
                Ok(head) => heads.push(head),
                Err(error) => faults.push(format!("checkpoint for {} entries: {error}", claimed.unwrap_or_default())),
            }
        }
        if above == before {
            return Ok((heads, faults));
        }
    }
}

/// The entries `from..to` as far as there are some; returns how many the log has.
fn each_entry(api: &AuthorityApi, from: u64, to: u64, mut with: impl FnMut(&LogEntry)) -> Result<u64, Error> {
    let mut next = from;
    loop {
        let page = api.log_entries(next)?;
        let wanted = usize::try_from(to.saturating_sub(next)).unwrap_or(usize::MAX);
        page.entries.iter().take(wanted).for_each(&mut with);
        next += page.entries.len() as u64;
        if page.entries.is_empty() || next >= to.min(page.size) {
            return Ok(page.size);
        }
    }
}

fn show(device: &Device, last: u64) -> Result<u8, Error> {
    let api = device.api()?;
    let size = api.log_entries(u64::MAX)?.size;
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    each_entry(api, size.saturating_sub(last), size, |entry| {
        let leaf = entry.leaf.as_deref().and_then(|text| serde_json::from_str::<Leaf>(text).ok());
        rows.push(row(leaf.as_ref(), entry.private.as_ref()));
        entries.push(json!({ "entry": leaf, "private": entry.private.as_ref().map(|private| &private.clear) }));
    })?;
    device.terminal.answer(&json!({ "version": 1, "size": size, "entries": entries }), || {
        super::table(&["ENTRY", "TIME", "EVENT", "PROOF", "WHO", "WHAT"], rows)
    })?;
    Ok(0)
}

fn row(leaf: Option<&Leaf>, private: Option<&Private>) -> Vec<String> {
    let Some(leaf) = leaf else { return vec!["?".into(), String::new(), "this entry can't be read".into()] };
    let own = |name: &str| {
        private.and_then(|private| private.clear.get(name)).and_then(Value::as_str).unwrap_or("").to_owned()
    };
    let operation = private.and_then(|private| private.clear.pointer("/detail/operation/name")).and_then(Value::as_str);
    let what = match (leaf.resource.as_deref(), operation) {
        // A digest of the rules: its beginning tells one from another.
        (Some(digest), None) if leaf.event == Event::RulesLoaded => digest.chars().take(12).collect(),
        (Some(resource), Some(operation)) => format!("{resource}: {operation}"),
        (Some(resource), None) => resource.to_owned(),
        // A person, a sign-in or a grant.
        (None, _) => ["name", "target", "user", "grant_id", "host"]
            .map(own)
            .into_iter()
            .find(|it| !it.is_empty())
            .unwrap_or_default(),
    };
    vec![
        leaf.index.to_string(),
        leaf.time.strftime("%F %T").to_string(),
        leaf.event.to_string(),
        leaf.acr.as_deref().and_then(Assurance::from_acr).map_or("", Assurance::name).to_owned(),
        own("sub"),
        leaf.cause.as_ref().map_or_else(|| what.clone(), |cause| format!("{what} ({cause})")),
    ]
}
