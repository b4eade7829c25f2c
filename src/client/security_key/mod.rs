//! Security keys behind one trait. Nothing a key returns is believed before it was checked here.

mod asking;
pub mod askpass;
pub mod driver;
pub mod fleet;
pub mod hardware;
mod pin;
pub mod plugged_in;
pub mod software;
mod wish;

use super::Device;
use super::error::Error;
use super::presence::Approval;
use crate::protocol::authenticator_data::{AT, AuthenticatorData, BE, BS, UV};
use crate::protocol::encoding::{from_base64url, sha256};
use crate::protocol::messages::{EnrolledKey, ErrorCode};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use hardware::HardwareKeys;
use software::SoftwareKey;
use webauthn_rs_proto::{
    CredProps, PublicKeyCredential, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions,
    RegisterPublicKeyCredential, RegistrationExtensionsClientOutputs, ResidentKeyRequirement, UserVerificationPolicy,
};

/// An authenticator.
pub trait SecurityKey {
    /// Makes a credential (`WebAuthn` Level 3, section 6.3.2), once a person is present.
    ///
    /// # Errors
    /// [`ErrorCode::VerificationFailed`] where nobody was; [`ErrorCode::NoSecurityKey`].
    fn make_credential(
        &self,
        options: &PublicKeyCredentialCreationOptions,
        approval: &Approval<'_>,
    ) -> Result<RegisterPublicKeyCredential, Error>;

    /// Signs a challenge (section 6.3.3), once a person is present.
    ///
    /// # Errors
    /// As for [`SecurityKey::make_credential`].
    fn get_assertion(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        approval: &Approval<'_>,
    ) -> Result<PublicKeyCredential, Error>;

    /// The same for whom nobody knows yet: with one of the credentials in `known` that this device heard of, or else one
    /// that the key itself knows for the relying party (a discoverable one).
    ///
    /// # Errors
    /// As for [`SecurityKey::make_credential`].
    fn get_discoverable_assertion(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        known: &[Vec<u8>],
        approval: &Approval<'_>,
    ) -> Result<PublicKeyCredential, Error>;
}

/// The key that answers a challenge: a device, unless there is only a file for it.
#[must_use]
pub fn for_challenge<'a>(
    device: &'a Device,
    options: &PublicKeyCredentialRequestOptions,
    enrolled: &'a [EnrolledKey],
) -> Box<dyn SecurityKey + 'a> {
    let software = SoftwareKey::on(&device.places.device);
    let only_files = enrolled.iter().all(|key| key.software);
    let holds_one = || options.allow_credentials.iter().any(|allowed| software.holds(&allowed.id));
    if only_files || (holds_one() && device.bus.plugged_in().is_empty()) {
        Box::new(software)
    } else {
        Box::new(HardwareKeys { bus: device.bus.clone(), enrolled })
    }
}

/// What signs somebody in: a device, unless none is plugged in and a file can.
#[must_use]
pub fn for_sign_in<'a>(device: &'a Device, rp_id: &str, known: &[Vec<u8>]) -> Box<dyn SecurityKey + 'a> {
    let software = SoftwareKey::on(&device.places.device);
    if device.bus.plugged_in().is_empty() && software.can_sign_in(rp_id, known) {
        Box::new(software)
    } else {
        Box::new(HardwareKeys { bus: device.bus.clone(), enrolled: &[] })
    }
}

/// Whether a new credential is to be discoverable where the key has room for it (`WebAuthn` Level 3, section 5.4.6).
fn is_discoverable(options: &PublicKeyCredentialCreationOptions) -> bool {
    use ResidentKeyRequirement::{Discouraged, Preferred, Required};
    let selection = options.authenticator_selection.as_ref();
    match selection.and_then(|selection| selection.resident_key.as_ref()) {
        Some(Preferred | Required) => true,
        Some(Discouraged) | None => false,
    }
}

/// What is said of how it was made (section 10.1.3, `credProps`).
fn made_so(options: &PublicKeyCredentialCreationOptions, discoverable: bool) -> RegistrationExtensionsClientOutputs {
    let asked = options.extensions.as_ref().is_some_and(|extensions| extensions.cred_props == Some(true));
    let cred_props = asked.then_some(CredProps { rk: Some(discoverable) });
    RegistrationExtensionsClientOutputs { cred_props, ..RegistrationExtensionsClientOutputs::default() }
}

/// What a browser would write (`WebAuthn` Level 3, section 5.8.1), for our one origin.
#[must_use]
pub fn client_data(ceremony: &str, challenge: &[u8], rp_id: &str) -> Vec<u8> {
    let challenge = crate::protocol::encoding::base64url(challenge);
    format!(r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"https://{rp_id}","crossOrigin":false}}"#)
        .into_bytes()
}

/// Checks an assertion before it is sent: made for this relying party, by a key that was asked, by a person, and signed by
/// the key that was enrolled.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`], naming the check.
pub fn check_assertion(
    options: &PublicKeyCredentialRequestOptions,
    assertion: &PublicKeyCredential,
    enrolled: &[EnrolledKey],
) -> Result<(), Error> {
    if !options.allow_credentials.iter().any(|allowed| allowed.id == assertion.raw_id) {
        return wrong("it is none of those that were asked");
    }
    let authenticator_data = &assertion.response.authenticator_data;
    let verified = options.user_verification == UserVerificationPolicy::Required;
    let data = check_data(authenticator_data, &options.rp_id, verified)?;
    let Some(key) = enrolled.iter().find(|key| key.credential_id == assertion.id) else {
        return wrong("it is not enrolled");
    };
    if !key.software && (data.flags & BE != 0) != key.backup_eligible {
        return wrong("it says of itself that it changed its kind");
    }
    let client_data_hash = sha256(&[&assertion.response.client_data_json]);
    let signed = [authenticator_data.as_slice(), &client_data_hash].concat();
    let point = from_base64url(&key.public_key).unwrap_or_default();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    if public.verify(&signed, &assertion.response.signature).is_err() {
        return wrong("it did not sign what was shown");
    }
    Ok(())
}

/// Checks what signs somebody in before it is sent: made for this relying party, by a person, whom the key verified; a key
/// that is a file verifies nobody. What signed it the authority knows.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`], naming the check.
pub fn check_sign_in(
    device: &Device,
    options: &PublicKeyCredentialRequestOptions,
    assertion: &PublicKeyCredential,
) -> Result<(), Error> {
    let software = SoftwareKey::on(&device.places.device).holds(&assertion.raw_id);
    check_data(&assertion.response.authenticator_data, &options.rp_id, !software).map(|_| ())
}

/// Checks a new credential before it is sent. What signs it, and whose model it is, the authority verifies.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`], naming the check.
fn check_new_credential(authenticator_data: &[u8], rp_id: &str, verified: bool) -> Result<(), Error> {
    let data = check_data(authenticator_data, rp_id, verified)?;
    if data.flags & AT == 0 { wrong("it made no credential") } else { Ok(()) }
}

fn check_data(bytes: &[u8], rp_id: &str, verified: bool) -> Result<AuthenticatorData, Error> {
    let Some(data) = AuthenticatorData::parse(bytes) else {
        return wrong("its authenticator data are too short");
    };
    if !data.is_for(rp_id) {
        return wrong("it signed for another relying party, or without a touch");
    }
    if verified && data.flags & UV == 0 {
        return wrong("it did not verify its user");
    }
    // WebAuthn Level 3, section 6.1.3: what can't be backed up is not backed up.
    if data.flags & BS != 0 && data.flags & BE == 0 {
        return wrong("it says that it is backed up and can't be");
    }
    Ok(data)
}

fn wrong<T>(what: &str) -> Result<T, Error> {
    let error = Error::new(ErrorCode::VerificationFailed, format!("the security key's answer is wrong: {what}"));
    Err(error.hint("nothing was sent; if it stays so, use another key and remove this one: elevate key remove NAME"))
}
