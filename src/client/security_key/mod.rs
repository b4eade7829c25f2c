//! Security keys behind one trait. Nothing a key returns is believed before it was checked here.

pub mod plugged_in;
pub mod software;

use super::error::Error;
use crate::protocol::authenticator_data::{AuthenticatorData, UV};
use crate::protocol::messages::ErrorCode;
use webauthn_rs_proto::{
    PublicKeyCredential, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions,
    RegisterPublicKeyCredential, UserVerificationPolicy,
};

/// What proves that a person is there: a touch, or for a key that is a file, Enter.
pub type Presence<'a> = dyn FnMut(&str) -> Result<(), Error> + 'a;

/// An authenticator.
pub trait SecurityKey {
    /// What the person knows it as.
    fn name(&self) -> String;

    /// Makes a credential (`WebAuthn` Level 3, section 6.3.2), once a person is present.
    ///
    /// # Errors
    /// [`ErrorCode::VerificationFailed`] where nobody was; [`ErrorCode::NoSecurityKey`].
    fn make_credential(
        &self,
        options: &PublicKeyCredentialCreationOptions,
        presence: &mut Presence<'_>,
    ) -> Result<RegisterPublicKeyCredential, Error>;

    /// Signs a challenge (section 6.3.3), once a person is present.
    ///
    /// # Errors
    /// As for [`SecurityKey::make_credential`].
    fn get_assertion(
        &self,
        options: &PublicKeyCredentialRequestOptions,
        presence: &mut Presence<'_>,
    ) -> Result<PublicKeyCredential, Error>;
}

/// What a browser would write (`WebAuthn` Level 3, section 5.8.1), for our one origin.
#[must_use]
pub fn client_data(ceremony: &str, challenge: &[u8], rp_id: &str) -> Vec<u8> {
    let challenge = crate::protocol::encoding::base64url(challenge);
    format!(r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"https://{rp_id}","crossOrigin":false}}"#)
        .into_bytes()
}

/// Checks an assertion before it is sent: made for this relying party, by a key that was asked, by a person.
///
/// # Errors
/// [`ErrorCode::VerificationFailed`], naming the check.
pub fn check_assertion(
    options: &PublicKeyCredentialRequestOptions,
    assertion: &PublicKeyCredential,
) -> Result<(), Error> {
    let wrong = |what: &str| {
        Err(Error::new(ErrorCode::VerificationFailed, format!("the security key's answer is wrong: {what}")))
    };
    let Some(data) = AuthenticatorData::parse(&assertion.response.authenticator_data) else {
        return wrong("its authenticator data are too short");
    };
    if !data.is_for(&options.rp_id) {
        return wrong("it signed for another relying party, or without a touch");
    }
    if options.user_verification == UserVerificationPolicy::Required && data.flags & UV == 0 {
        return wrong("it did not verify its user");
    }
    if !options.allow_credentials.iter().any(|allowed| allowed.id == assertion.raw_id) {
        return wrong("it is none of those that were asked");
    }
    Ok(())
}
