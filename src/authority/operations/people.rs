//! People, the devices on which they are signed in, and their keys.

use super::Effect;
use crate::authority::Authority;
use crate::authority::enrolment::list_of;
use crate::authority::error::Refusal;
use crate::authority::sign_in::Person;
use crate::authority::sign_in::sessions::standing;
use crate::authority::store::{Change, SignInRow, UserRow};
use crate::log::leaf::Event;
use crate::protocol::names::KeyName;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Everybody who has asked.
pub(super) async fn users(authority: &Authority, at: Timestamp) -> Result<Value, Refusal> {
    let invited = authority.store.open_invitations(at).await?;
    let people = authority.store.people().await?;
    let name = |sub: &str| Some(serde_json::from_str::<Person>(people.get(sub)?).ok()?.name);
    let row = |user: &UserRow| {
        json!({
            "user": user.sub, "name": name(&user.sub), "created_at": user.created_at, "disabled_at": user.disabled_at,
            "invited_until": invited.get(&user.sub),
        })
    };
    let users = authority.store.users().await?;
    Ok(json!({ "users": users.iter().map(row).collect::<Vec<_>>() }))
}

/// Who is signed in, on which device, since when, and how the provider knew them.
pub(super) async fn sessions(authority: &Authority, at: Timestamp) -> Result<Value, Refusal> {
    let row = |(row, person): &(SignInRow, Person)| {
        json!({
            "id": row.id, "user": row.sub, "name": person.name, "host": row.host, "created_at": row.created_at,
            "last_used_at": row.last_used_at, "how": person.how, "acr": person.acr, "amr": person.amr,
        })
    };
    let rows = standing(authority, &*authority.rules().await?, at).await?;
    Ok(json!({ "sessions": rows.iter().map(row).collect::<Vec<_>>() }))
}

/// Signs a device out: what it holds is over on every node, since each use asks the store.
pub(super) async fn end_session(authority: &Authority, id: &str, at: Timestamp) -> Result<Effect, Refusal> {
    // Also one that would not be let in now: other rules may let it in again.
    let rows = authority.store.sign_ins(Timestamp::UNIX_EPOCH).await?;
    let row = rows.into_iter().find(|row| row.id == id);
    let row = row.ok_or(Refusal::Conflict("there is no such sign-in, or it is over already"))?;
    let about = json!({ "sign_in": row.id, "user": row.sub, "host": row.host });
    Ok(Effect { about, ..Effect::change(Event::SignInEnded, vec![Change::EndSignIn { id: row.id, at }]) })
}

/// One person's keys, or everybody's.
pub(super) async fn keys(authority: &Authority, of: Option<&str>) -> Result<Value, Refusal> {
    let users = match of {
        Some(sub) => vec![known(authority, sub).await?],
        None => authority.store.owners_of_keys().await?,
    };
    let mut keys = Vec::new();
    for user in users {
        for key in list_of(authority, &user).await? {
            let mut key = serde_json::to_value(key).map_err(|_| Refusal::Broken)?;
            key["user"] = user.clone().into();
            keys.push(key);
        }
    }
    Ok(json!({ "keys": keys }))
}

async fn known(authority: &Authority, sub: &str) -> Result<String, Refusal> {
    let user = authority.store.user(sub).await?.ok_or(Refusal::Conflict("there is no such user"))?;
    Ok(user.sub)
}

/// Removes a key of somebody else's, and ends what it may have got. What it alone unsealed is lost with it, and recorded.
pub(super) async fn remove_key(
    authority: &Authority,
    admin: &str,
    sub: &str,
    name: Option<KeyName>,
    at: Timestamp,
) -> Result<Effect, Refusal> {
    let name = name.ok_or_else(|| Refusal::Malformed("user_key.remove needs a key".into()))?;
    if sub == admin {
        return Err(Refusal::Conflict("this key is yours: `elevate key remove` removes it"));
    }
    let keys = list_of(authority, &known(authority, sub).await?).await?;
    let key = keys.into_iter().find(|key| key.name == name);
    let key = key.ok_or(Refusal::Conflict("they have no key of that name"))?;
    let about = json!({
        "user": sub, "name": key.name, "credential_id": key.credential_id, "only_one_for": key.only_one_for,
    });
    let sub = sub.to_owned();
    let changes = vec![
        Change::RemoveSecurityKey { sub: sub.clone(), name: name.to_string() },
        Change::RevokeGrantsOf { sub: sub.clone(), at },
        Change::EndSignInsOf { sub, at },
    ];
    Ok(Effect { about, ..Effect::change(Event::KeyRemoved, changes) })
}
