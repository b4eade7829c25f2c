//! Secrets that are sealed under security keys: the row edited or moved, a lower rung, another key, and outputs that
//! went where they must not.

use super::*;
use crate::harness::{AGE, CONFIG, policy, sealed_for};
use elevate::protocol::messages::SealedFor;

/// Its user has a key that seals, one with a PIN that doesn't, and one that is touched.
struct Vault {
    target: Target,
    sealing: TestKey,
    sealed_for: SealedFor,
}

impl std::ops::Deref for Vault {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

impl Vault {
    async fn new() -> Self {
        let config = format!("{CONFIG}\n[resource.open-key]\nkind = \"secret\"\nsensitivity = \"low\"\n");
        let authority = TestAuthority::with(&config, &policy()).await;
        let (touch, pin) = (TestKey::touch_only(), TestKey::with_pin());
        authority.enrol("touch", &touch, None).await.unwrap();
        authority.enrol("pin", &pin, Some(&touch)).await.unwrap();
        let sealing = TestKey::with_pin().with_hmac_secret();
        authority.enrol("sealing", &sealing, Some(&pin)).await.unwrap();
        let sealed_for = sealed_for(&[&sealing]);
        authority.set_sealed("open-key", AGE, &sealed_for, &pin).await.unwrap();
        Self { target: Target { authority, touch, pin }, sealing, sealed_for }
    }

    async fn begin_open(&self) -> (Ask, ProofKey, StepUpResponse) {
        let ask = Ask::new("open-key");
        let (proof, step_up) = self.begin(&ask).await;
        (ask, proof, step_up)
    }
}

/// Policy would give it to the session alone.
#[tokio::test]
async fn sealed_resource_at_a_lower_rung() {
    let vault = Vault::new().await;
    let mut ask = Ask::new("open-key");
    ask.prompt = Some("none".into());
    assert_eq!(vault.ask(&ask, &proof_key()).await.no().code(), (400, "interaction_required"));
    let answer = vault.answer_saying("open-key", &vault.sealing, |says| says.flags = UP | crate::harness::ED).await;
    failed_because(answer, "the key did not verify its user (PIN or biometric)");
    for key in [&vault.touch, &vault.pin] {
        let answer = vault.answer_saying("open-key", key, |_| {}).await;
        failed_because(answer, "the key is none of those that unseal the secret");
    }
    assert_eq!(vault.grants("open-key").await, 0);
    let grant = vault.answer_saying("open-key", &vault.sealing, |_| {}).await.grant();
    assert_eq!((grant.acr.as_str(), grant.secret_sealed), ("phr", true));
}

#[tokio::test]
async fn sealed_row_edited_or_moved() {
    let does_not_open = "the authority's keys can't be used: the stored secret does not open: it was changed, or sealed under another key";
    let other_salt = serde_json::to_string(&SealedFor { salt: base64url([9; 32]), ..Vault::new().await.sealed_for });
    let edits = [
        // At the session's word, as policy has it.
        "UPDATE secret SET sealed_for = NULL WHERE resource = 'open-key'".to_owned(),
        // For a salt of the attacker's own.
        format!("UPDATE secret SET sealed_for = '{}' WHERE resource = 'open-key'", other_salt.unwrap()),
        "UPDATE secret SET sealed_for = replace(sealed_for, '\"credential_ids\":[', '\"credential_ids\":[\"eA\",')".to_owned(),
        "UPDATE secret SET sealed = zeroblob(100)".to_owned(),
        // One that is not sealed, made to look so.
        "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE resource = 'spare-key') WHERE resource = 'open-key'"
            .to_owned(),
    ];
    for edit in edits {
        let vault = Vault::new().await;
        vault.operate(OperationName::SecretSet, Some("spare-key"), Some("plain"), &vault.pin).await.unwrap();
        assert!(vault.tamper(&edit).await > 0, "{edit}");
        // Before anybody is made to touch a key.
        let no = vault.ask(&Ask::new("open-key"), &proof_key()).await.no();
        assert_eq!((no.status, no.says()), (503, does_not_open), "{edit}");
    }
    // To the name of another resource.
    let vault = Vault::new().await;
    vault.tamper("UPDATE secret SET resource = 'deploy-key' WHERE resource = 'open-key'").await;
    assert_eq!(vault.ask(&Ask::new("deploy-key"), &proof_key()).await.no().says(), does_not_open);
}

/// What the key gave out opens the secret: whoever sends it to the authority has undone the sealing.
#[tokio::test]
async fn extension_outputs_sent() {
    for (place, name) in
        [("extensions", "hmac_get_secret"), ("extensions", "hmacGetSecret"), ("clientExtensionResults", "prf")]
    {
        let vault = Vault::new().await;
        let (ask, proof, step_up) = vault.begin_open().await;
        let assertion = vault.sealing.sign(&step_up.authn_params_public_key);
        let output = "a-secret-of-the-client-and-its-key-alone";
        let mut sent = serde_json::to_value(&assertion).unwrap();
        sent.as_object_mut().unwrap().remove("extensions");
        sent[place] = json!({ name: { "output1": output } });
        let request =
            TokenRequest { authn_response: Some(sent.to_string()), ..ask.answer(&step_up.auth_session, &assertion) };
        failed_because(
            vault.token(&request, &proof).await,
            "the answer holds what the key gave out to the client alone: the client is broken",
        );
        assert_eq!(vault.grants("open-key").await, 0);
        assert_eq!(vault.last_entry().await["event"], "step_up.failed");
        let log = serde_json::to_string(&vault.log().await).unwrap();
        assert!(!log.contains(output), "it must not be kept either");
        // The step-up is over with it.
        let honest = ask.answer(&step_up.auth_session, &assertion);
        assert_eq!(vault.token(&honest, &proof).await.no().code(), (400, "invalid_grant"));
    }
}

/// Approved for one sealing, answered with another: the key's output would be for the salt of before.
#[tokio::test]
async fn sealed_secret_replaced_meanwhile() {
    let vault = Vault::new().await;
    let (ask, proof, step_up) = vault.begin_open().await;
    let anew = SealedFor { salt: base64url([9; 32]), ..vault.sealed_for.clone() };
    vault.set_sealed("open-key", AGE, &anew, &vault.pin).await.unwrap();
    let assertion = vault.sealing.sign(&step_up.authn_params_public_key);
    let answer = vault.token(&ask.answer(&step_up.auth_session, &assertion), &proof).await;
    failed_because(answer, "the secret was set anew since the step-up was begun");
}

/// Neither salt nor text of a sealed secret is in the log.
#[tokio::test]
async fn sealed_secret_in_the_log() {
    let vault = Vault::new().await;
    vault.answer_saying("open-key", &vault.sealing, |_| {}).await.grant();
    let log = serde_json::to_string(&vault.log().await).unwrap();
    let body = AGE.lines().nth(1).unwrap();
    for hidden in [vault.sealed_for.salt.as_str(), body, "BEGIN AGE"] {
        assert!(!log.contains(hidden), "{hidden}");
    }
    assert!(log.contains("\"sealed_for_keys\":1"), "{log}");
}
