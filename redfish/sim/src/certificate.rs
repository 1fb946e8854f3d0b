//! The self-signed certificate of one BMC. The key grows from the fleet's seed and the signature is deterministic
//! (RFC 6979), so that a restarted simulator shows the very same certificate and no pin breaks.
//! It signs nothing but itself; there is no authority and no renewal, except when a test asks for a new certificate.

use std::sync::Arc;

use p256::ecdsa::signature::Signer;
use p256::pkcs8::EncodePrivateKey;
use rcgen::{CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use crate::identity::Identity;

/// Sessions a BMC remembers for resumption. A client opens two connections at a time; four leaves room for a second client.
const RESUMABLE_SESSIONS: usize = 4;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The certificate could not be encoded or signed.
    #[error("make the certificate of {0}")]
    Make(String, #[source] rcgen::Error),
    /// rustls does not take the key.
    #[error("load the TLS key of {0}")]
    Load(String, #[source] rustls::Error),
    /// The private key could not be encoded.
    #[error("encode the TLS key of {0}")]
    Encode(String),
}

/// What a BMC shows to a TLS client.
#[derive(Debug, Clone)]
pub struct BmcCertificate {
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Ready for use by the listener.
    pub server_config: Arc<rustls::ServerConfig>,
}

impl BmcCertificate {
    /// SHA-256 over the DER certificate, upper case hexadecimal pairs with colons, as browsers and `openssl` print it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(&self.certificate);
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
}

struct DeterministicKey {
    key: p256::ecdsa::SigningKey,
    public: Vec<u8>,
}

impl PublicKeyData for DeterministicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for DeterministicKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: p256::ecdsa::Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// The certificate of the BMC with this identity, `generation` 0 at the factory.
///
/// # Errors
/// When the certificate cannot be encoded or rustls refuses the key; neither happens with a sound build.
pub fn for_bmc(identity: &Identity, tag: &str, generation: u32) -> Result<BmcCertificate, CertificateError> {
    let name = format!("idrac-{tag}");
    let key = key_of(identity, generation);
    let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    let pkcs8 = key.to_pkcs8_der().map_err(|_| CertificateError::Encode(name.clone()))?;
    let key = DeterministicKey { key, public };

    let mut subject = DistinguishedName::new();
    subject.push(DnType::CountryName, "US");
    subject.push(DnType::OrganizationName, "Dell Inc.");
    subject.push(DnType::OrganizationalUnitName, "Remote Access Group");
    subject.push(DnType::CommonName, name.clone());
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    // Factory certificates run ten years from their making; these dates only have to be the same in every run.
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    params.serial_number = Some(rcgen::SerialNumber::from(identity.bits(&format!("certificate {generation}")) >> 1));
    if let Ok(dns) = name.clone().try_into() {
        params.subject_alt_names = vec![SanType::DnsName(dns)];
    }
    let certificate = params.self_signed(&key).map_err(|e| CertificateError::Make(name.clone(), e))?.der().clone();

    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_bytes().to_vec()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], private))
        .map_err(|e| CertificateError::Load(name, e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(RESUMABLE_SESSIONS);
    config.send_tls13_tickets = 1;
    Ok(BmcCertificate { certificate, server_config: Arc::new(config) })
}

/// A scalar must lie between 1 and the order of the curve; 32 random bytes do, but for one case in 2^32.
fn key_of(identity: &Identity, generation: u32) -> p256::ecdsa::SigningKey {
    let mut attempt = 0;
    loop {
        if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&identity.key_seed(generation, attempt)) {
            return key;
        }
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_certificate_and_a_new_generation_another_one() {
        let identity = Identity::new(5, Ipv4Addr::new(127, 10, 0, 1), 0);
        let first = for_bmc(&identity, "HLX0001", 0).unwrap();
        let again = for_bmc(&identity, "HLX0001", 0).unwrap();
        let renewed = for_bmc(&identity, "HLX0001", 1).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_ne!(first.fingerprint(), renewed.fingerprint());
    }
}
