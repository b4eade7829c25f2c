//! Makers of authenticators: roots, and `packed` attestation certificates (Level 3, section 8.2.1), right or wrong.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use std::sync::Arc;

/// id-fido-gen-ce-aaguid.
const AAGUID: &[u64] = &[1, 3, 6, 1, 4, 1, 45724, 1, 1, 4];

/// A root, which every program that has its file trusts.
pub struct Maker {
    issuer: Issuer<'static, KeyPair>,
    /// Of the root.
    pub pem: String,
    /// The same, as metadata has it.
    pub base64_der: String,
    /// What stands between the root and its leaves.
    intermediates: Vec<Vec<u8>>,
}

/// A certificate with its key, as it is in an authenticator.
#[derive(Clone)]
pub struct Attestation {
    pub key: Arc<EcdsaKeyPair>,
    /// The leaf first.
    pub chain: Vec<Vec<u8>>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Good on the clock of these tests, which stands at New Year 2026.
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 6, 1));
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

impl Maker {
    #[must_use]
    pub fn new(name: &str) -> Self {
        let (params, key) = (authority(name), key());
        let root = params.self_signed(&key).unwrap();
        let (pem, base64_der) = (root.pem(), STANDARD.encode(root.der()));
        Self { issuer: Issuer::new(params, key), pem, base64_der, intermediates: Vec::new() }
    }

    /// The same root, with a certificate between it and the leaves.
    #[must_use]
    pub fn through_intermediate(self) -> Self {
        let (params, key) = (authority("between"), key());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), intermediates: vec![certificate.der().to_vec()], ..self }
    }

    /// A certificate for one model.
    #[must_use]
    pub fn vouch(&self, aaguid: [u8; 16]) -> Attestation {
        self.vouch_saying(aaguid, |_| {})
    }

    /// A certificate that says what `lie` makes of the truth.
    #[must_use]
    pub fn vouch_saying(&self, aaguid: [u8; 16], lie: impl FnOnce(&mut CertificateParams)) -> Attestation {
        let mut params = CertificateParams::default();
        for (kind, value) in [
            (DnType::CountryName, "CH"),
            (DnType::OrganizationName, "Test Maker"),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Test Maker Attestation"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 6, 1));
        let octet_string = [&[0x04, 0x10], aaguid.as_slice()].concat();
        params.custom_extensions = vec![CustomExtension::from_oid_content(AAGUID, octet_string)];
        lie(&mut params);
        let key = key();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let chain = std::iter::once(leaf).chain(self.intermediates.iter().cloned()).collect();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
        Attestation { key: Arc::new(key), chain }
    }
}
