//! Who has an issuer's public keys, a genuine token of another's, or another token of the same issuer, is no workload.

use super::{es256, hs256, jwk_of, jwt, new_pair};
use crate::harness::proof_key;
use crate::workloads::issuer::Pipeline;
use elevate::protocol::encoding::{base64url, from_base64url};
use serde_json::{Value, json};

#[tokio::test]
async fn alg_typ_kid_jwk_confusion_of_identity_tokens() {
    let pipeline = Pipeline::start().await;
    let claims = pipeline.claims(json!({}));
    let public = pipeline.key().jwk();
    let x = from_base64url(public["x"].as_str().unwrap()).unwrap();
    let text = public.to_string();
    let set = json!({ "keys": [public] }).to_string();
    let thief = new_pair();
    let head = |alg: &str| json!({ "alg": alg, "typ": "JWT", "kid": "one" });
    let more = |name: &str, value: Value| {
        let mut header = head("ES256");
        header[name] = value;
        header
    };
    let forged = [
        ("alg none", jwt(&head("none"), &claims, |_| vec![])),
        ("alg nOnE", jwt(&head("nOnE"), &claims, |_| vec![])),
        ("no signature", jwt(&head("ES256"), &claims, |_| vec![])),
        ("zero signature", jwt(&head("ES256"), &claims, |_| vec![0; 64])),
        ("HS256 with the public x", jwt(&head("HS256"), &claims, hs256(&x))),
        ("HS256 with the public JWK", jwt(&head("HS256"), &claims, hs256(text.as_bytes()))),
        ("HS256 with the JWK set", jwt(&head("HS256"), &claims, hs256(set.as_bytes()))),
        ("RS256 over an EC key", jwt(&head("RS256"), &claims, |_| vec![1; 256])),
        ("ES384 over a P-256 key", jwt(&head("ES384"), &claims, |_| vec![1; 96])),
        ("EdDSA over a P-256 key", jwt(&head("EdDSA"), &claims, |_| vec![1; 64])),
        ("another key under this kid", jwt(&head("ES256"), &claims, es256(&thief))),
        ("unknown kid", jwt(&more("kid", json!("two")), &claims, es256(&thief))),
        ("a jwk of its own", jwt(&more("jwk", jwk_of(&thief)), &claims, es256(&thief))),
        ("a jku of its own", jwt(&more("jku", json!("https://evil.example/keys")), &claims, es256(&thief))),
        ("an empty token", String::new()),
        ("dots", "..".to_owned()),
        ("no object", format!("{}.{}.{}", base64url("{}"), base64url("[]"), base64url("x"))),
        ("a huge token", format!("{}.{}.x", base64url(head("ES256").to_string()), "A".repeat(20 << 10))),
    ];
    let before = pipeline.authority.events().await;
    for (what, token) in &forged {
        let no = pipeline.network.token(&Pipeline::with_jwt("wiki", token), &proof_key()).await.no();
        assert_eq!(no.code(), (400, "invalid_request"), "{what}: {no:?}");
        let no = pipeline.authority.token(&Pipeline::with_jwt("wiki", token), &proof_key()).await.no();
        assert_eq!(no.code(), (400, "invalid_request"), "{what} on a socket: {no:?}");
        let bearer = format!("Bearer {token}");
        let request = pipeline.network.request("GET", &pipeline.network.at("/resources"));
        let reply = pipeline.network.send(request.header("Authorization", bearer)).await;
        assert!(reply.status >= 400, "{what}: {}", reply.text);
    }
    assert_eq!(pipeline.authority.events().await, before, "what nobody signed fills no log");
}

/// Tokens that the issuer did sign, for something else than to say who somebody is.
#[tokio::test]
async fn other_tokens_of_a_trusted_issuer_are_no_identity_tokens() {
    let pipeline = Pipeline::start().await;
    let signed = |header: Value, claims: &Value| {
        let mut head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        head.kid = Some("one".into());
        head.typ = header["typ"].as_str().map(str::to_owned);
        head.crit = header["crit"].as_str().map(|name| vec![name.to_owned()]);
        jsonwebtoken::encode(&head, claims, &pipeline.key().encoding()).unwrap()
    };
    let claims = pipeline.claims(json!({}));
    for header in [
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "application/at+jwt" }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "secevent+jwt" }),
        json!({ "typ": "JWT", "crit": "x" }),
    ] {
        let token = signed(header.clone(), &claims);
        let no = pipeline.network.token(&Pipeline::with_jwt("wiki", &token), &proof_key()).await.no();
        assert_eq!(no.code(), (400, "invalid_request"), "{header}: {no:?}");
    }
    for header in [json!({}), json!({ "typ": "jwt" })] {
        let token = signed(header, &claims);
        pipeline.network.token(&Pipeline::with_jwt("wiki", &token), &proof_key()).await.grant();
    }
    // One that is signed by it and says that it is another's.
    for issuer in ["https://localhost", "https://other.example", &format!("{}/", pipeline.issuer.issuer)] {
        let token = signed(json!({}), &pipeline.claims(json!({ "iss": issuer })));
        let no = pipeline.network.token(&Pipeline::with_jwt("wiki", &token), &proof_key()).await.no();
        assert!(no.says().starts_with("this authority does not trust the issuer"), "{no:?}");
    }
}
