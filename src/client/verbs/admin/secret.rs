//! Storing a secret: read from where nobody else sees it, and sealed under security keys where that was asked for.

use super::done;
use crate::client::Device;
use crate::client::error::Error;
use crate::client::hidden_input;
use crate::client::operation::{operate, request};
use crate::client::presence::Approval;
use crate::client::sealing::{Identity, Recipient, seal};
use crate::client::security_key::hardware::HardwareKeys;
use crate::client::security_key::{SecurityKey as _, check_assertion};
use crate::protocol::encoding::{base64url, from_base64url, random};
use crate::protocol::messages::{EnrolledKey, ErrorCode, OperationName, OperationRequest, SealedFor};
use crate::protocol::names::{KeyName, ResourceName};
use crate::protocol::secret::Secret;
use std::time::Duration;
use webauthn_rs_proto::{
    AllowCredentials, HmacGetSecretInput, PublicKeyCredentialRequestOptions, RequestAuthenticationExtensions,
    UserVerificationPolicy,
};

/// Bytes a secret may have.
const SECRET_MAX: usize = 64 << 10;

/// Stores a secret as it is.
pub(super) fn set(device: &Device, resource: &ResourceName) -> Result<u8, Error> {
    let secret = Some(read_secret(device, resource)?);
    let request = OperationRequest { secret, ..request(Some(resource.as_str())) };
    let answer = operate(device, OperationName::SecretSet, request, &format!("store the secret of {resource}"))?;
    let text = format!("the secret of {resource} is stored, sealed");
    done(device, OperationName::SecretSet, Some(resource.as_str()), answer, &text)
}

/// Each key is touched once, to give what the secret is sealed with: nothing that was written down before is trusted.
pub(super) fn seal_to(
    device: &Device,
    resource: &ResourceName,
    to: &[KeyName],
    backups: &[String],
) -> Result<u8, Error> {
    let mut recipients: Vec<Recipient> = backups.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let enrolled = device.api()?.keys()?;
    let find = |name: &KeyName| {
        let key = enrolled.iter().find(|key| key.name == *name).ok_or_else(|| {
            Error::new(ErrorCode::No, format!("you have no key '{name}'"))
                .hint("`elevate key list` shows which there are")
        })?;
        if key.can_seal {
            return Ok(key);
        }
        Err(Error::new(ErrorCode::No, format!("nothing can be sealed under '{name}'"))
            .hint("it takes a hardware key with hmac-secret that was enrolled with its PIN or fingerprint"))
    };
    let keys: Vec<&EnrolledKey> = to.iter().map(find).collect::<Result<_, _>>()?;
    let secret = read_secret(device, resource)?;
    let salt = random::<32>();
    for key in &keys {
        recipients.push(recipient(device, resource, key, &salt)?);
    }
    let credential_ids = keys.iter().map(|key| key.credential_id.clone()).collect();
    let sealed_for = SealedFor { salt: base64url(salt), credential_ids };
    let secret = Some(Secret::new(seal(&secret, &recipients)?));
    let request = OperationRequest { secret, sealed_for: Some(sealed_for), ..request(Some(resource.as_str())) };
    let answer = operate(device, OperationName::SecretSet, request, &format!("store the secret of {resource}"))?;
    if keys.len() == 1 && backups.is_empty() {
        device.terminal.note(&format!("sealed to one key and no backup: without '{}' it is lost", keys[0].name));
    }
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    let text = format!("the secret of {resource} is sealed under {}", names.join(" and "));
    done(device, OperationName::SecretSet, Some(resource.as_str()), answer, &text)
}

/// What a key opens: asked of the key itself, over a challenge that goes nowhere.
fn recipient(device: &Device, resource: &ResourceName, key: &EnrolledKey, salt: &[u8; 32]) -> Result<Recipient, Error> {
    let id = from_base64url(&key.credential_id).ok_or_else(|| Error::failed("the key's id can't be read"))?;
    let allow = AllowCredentials { type_: "public-key".to_owned(), id, transports: None };
    let options = PublicKeyCredentialRequestOptions {
        challenge: random::<32>().to_vec(),
        timeout: None,
        rp_id: device.known()?.rp_id().to_owned(),
        allow_credentials: vec![allow],
        user_verification: UserVerificationPolicy::Required,
        hints: None,
        extensions: Some(RequestAuthenticationExtensions {
            appid: None,
            uvm: None,
            hmac_get_secret: Some(HmacGetSecretInput { output1: salt.to_vec(), output2: None }),
        }),
    };
    let enrolled = std::slice::from_ref(key);
    let shown = format!("\nelevate: seal the secret of {resource} under '{}'?\n", key.name);
    let hardware = HardwareKeys { bus: device.bus.clone(), enrolled };
    let mut assertion = hardware.get_assertion(&options, &Approval::new(device, shown, Duration::from_mins(2)))?;
    check_assertion(&options, &assertion, enrolled)?;
    let identity = Identity::of(&mut assertion, &options.rp_id)?.ok_or_else(|| {
        Error::new(ErrorCode::NoSecurityKey, format!("'{}' gives nothing to seal with", key.name))
            .hint("it has no hmac-secret, or was enrolled without: enrol it anew")
    })?;
    Ok(identity.recipient())
}

fn read_secret(device: &Device, resource: &ResourceName) -> Result<Secret, Error> {
    let secret = hidden_input::read(device, &format!("Secret of {resource}"), SECRET_MAX)?;
    if secret.expose().is_empty() {
        return Err(Error::usage("the secret is empty").hint("nothing was changed"));
    }
    Ok(secret)
}
