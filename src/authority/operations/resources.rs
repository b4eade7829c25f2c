//! The part of the catalogue that is in the store: the same for every node, and changed without a file.

use super::Effect;
use crate::authority::Authority;
use crate::authority::config::Resource;
use crate::authority::error::Refusal;
use crate::authority::rules::Rules;
use crate::authority::store::Change;
use crate::log::leaf::Event;
use crate::protocol::display::escaped;
use crate::protocol::encoding::{base64url, canonical_json, sha256};
use crate::protocol::names::ResourceName;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Bytes a definition may have.
const DEFINITION_MAX: usize = 32 << 10;

/// Every resource, whether it can be used or not, and where it is declared.
pub(super) async fn list(authority: &Authority) -> Result<Value, Refusal> {
    authority.watched.look_again().await?;
    let catalogue = authority.catalogue(&authority.rules().await?).await?;
    let declared = catalogue
        .declared()
        .iter()
        .map(|(name, resource)| json!({ "resource": name, "declared_in": "authority.toml", "definition": resource }));
    let stored = catalogue.stored().iter().map(|(name, stored)| {
        let hidden = catalogue.declared().contains_key(name);
        let hidden = hidden.then(|| "authority.toml declares it as well, and the file wins".to_owned());
        let definition: Value = serde_json::from_str(&stored.definition).unwrap_or_default();
        json!({
            "resource": name, "declared_in": "store", "definition": definition, "set_at": stored.set_at,
            "fault": hidden.or_else(|| stored.resource.as_ref().err().map(|reason| escaped(reason))),
        })
    });
    Ok(json!({ "resources": declared.chain(stored).collect::<Vec<_>>() }))
}

/// Declares a resource, or declares it anew; refused where the file declares it, which wins.
pub(super) async fn set(
    authority: &Authority,
    target: &str,
    definition: Option<Value>,
    at: Timestamp,
) -> Result<Effect, Refusal> {
    let rules = authority.rules().await?;
    let name = ours(&rules, target)?;
    let malformed = |reason: String| Refusal::Malformed(format!("'{name}' can't be declared so: {}", escaped(&reason)));
    let definition = definition.ok_or_else(|| malformed("there is no definition".into()))?;
    let resource: Resource = serde_json::from_value(definition).map_err(|error| malformed(error.to_string()))?;
    resource.check(&name).map_err(malformed)?;
    if let Some(audience) = &resource.audience
        && (*audience == authority.issuer.as_str() || is_in_the_file(&rules, audience))
    {
        return Err(malformed(format!("'{audience}' is the audience of another, which asks for what its tokens take")));
    }
    let definition = canonical_json(&resource).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let definition = definition.ok_or(Refusal::Broken)?;
    if definition.len() > DEFINITION_MAX {
        return Err(malformed("a definition has 32 KiB at most".into()));
    }
    let before = before(authority, &name).await?;
    let about = json!({ "before": before.as_deref().map(recorded), "after": recorded(&definition) });
    let put = Change::PutResource { name: name.to_string(), definition, before, at };
    Ok(Effect { about, ..Effect::change(Event::ResourceSet, vec![put]) })
}

/// Takes a resource out of the store. Its secret, if it has one, stays until it is removed.
pub(super) async fn remove(authority: &Authority, target: &str) -> Result<Effect, Refusal> {
    let name = ours(&*authority.rules().await?, target)?;
    let before = before(authority, &name).await?;
    let before = before.ok_or(Refusal::Conflict("the store declares no resource of that name"))?;
    let about = json!({ "before": recorded(&before) });
    let remove = Change::RemoveResource { name: name.to_string(), before };
    Ok(Effect { about, ..Effect::change(Event::ResourceRemoved, vec![remove]) })
}

/// Whether authority.toml declares a resource with this audience: under another name it could be had for less.
fn is_in_the_file(rules: &Rules, audience: &str) -> bool {
    rules.config.resources.values().any(|resource| resource.audience.as_deref() == Some(audience))
}

/// A name that the store may declare.
fn ours(rules: &Rules, target: &str) -> Result<ResourceName, Refusal> {
    let name: ResourceName = target.parse()?;
    if rules.config.resources.contains_key(&name) {
        return Err(Refusal::Conflict(
            "authority.toml declares a resource of that name, and the file wins: change it there",
        ));
    }
    Ok(name)
}

/// What is declared now: read, not remembered.
async fn before(authority: &Authority, name: &ResourceName) -> Result<Option<String>, Refusal> {
    let seen = authority.watched.look_again().await?;
    Ok(seen.stored.get(name).map(|stored| stored.definition.clone()))
}

/// A definition as the log keeps it.
fn recorded(definition: &str) -> Value {
    let digest = base64url(sha256(&[definition.as_bytes()]));
    json!({ "digest": digest, "definition": serde_json::from_str::<Value>(definition).unwrap_or_default() })
}
