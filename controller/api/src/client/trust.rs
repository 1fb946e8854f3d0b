//! How the controller's certificate is trusted.
//!
//! A self-signed controller is known by the SHA-256 of its certificate, which a person compared once; a site with its own
//! authority gives that. The handshake signature is verified in both cases, so the peer holds the key.

use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

use super::ApiError;

/// How the controller is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// SHA-256 of the server's own certificate, hex with or without colons.
    Pinned(String),
    /// Certificate authority (one or more), PEM. Names and dates are checked.
    Ca(String),
    /// Trusts nobody: every call ends in [`ApiError::Tls`] with the fingerprint that was seen, before anything was sent.
    Probe,
}

/// The certificate that the last failed handshake showed.
pub(super) type Seen = Arc<Mutex<Option<SeenCertificate>>>;

/// What a refused peer showed.
#[derive(Debug, Clone)]
pub(super) struct SeenCertificate {
    pub(super) fingerprint: String,
    pub(super) expected: Option<String>,
    pub(super) reason: String,
}

/// A fingerprint as it is stored: lower-case hex without colons; `None` when it is no SHA-256.
#[must_use]
pub fn clean_fingerprint(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("SHA256:")).unwrap_or(text);
    let clean: String = text.chars().filter(|c| *c != ':' && !c.is_whitespace()).collect();
    (clean.len() == 64 && clean.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| clean.to_ascii_lowercase())
}

/// A fingerprint as people compare it: upper case, in pairs.
#[must_use]
pub fn fingerprint_in_words(fingerprint: &str) -> String {
    let upper = fingerprint.to_ascii_uppercase();
    upper.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect::<Vec<_>>().join(":")
}

/// TLS as this trust has it.
pub(super) fn tls_config(trust: Trust, seen: Seen) -> Result<ClientConfig, ApiError> {
    let setup = |reason: String| ApiError::Setup { reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let rule = match trust {
        Trust::Probe => Rule::Nobody,
        Trust::Pinned(text) => Rule::Pinned(clean_fingerprint(&text).ok_or_else(|| {
            setup(format!("\"{text}\" is no SHA-256 fingerprint: 64 hexadecimal digits are expected"))
        })?),
        Trust::Ca(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate =
                    certificate.map_err(|error| setup(format!("the certificate authority is no PEM: {error}")))?;
                roots
                    .add(certificate)
                    .map_err(|error| setup(format!("the certificate authority cannot be used: {error}")))?;
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| setup(format!("the certificate authority cannot be used: {error}")))?;
            Rule::Authority(verifier)
        }
    };
    let verifier = Verifier { rule, provider: provider.clone(), seen };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

#[derive(Debug)]
enum Rule {
    Nobody,
    Pinned(String),
    Authority(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Verifier {
    rule: Rule,
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

impl Verifier {
    fn refuse(&self, fingerprint: String, expected: Option<String>, reason: String) {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(SeenCertificate { fingerprint, expected, reason });
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = hex::encode(Sha256::digest(end_entity));
        match &self.rule {
            Rule::Pinned(expected) if *expected == found => Ok(ServerCertVerified::assertion()),
            Rule::Pinned(expected) => {
                self.refuse(found, Some(expected.clone()), "it is not the pinned one".to_owned());
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Rule::Nobody => {
                self.refuse(found, None, "it is seen for the first time".to_owned());
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Rule::Authority(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .inspect_err(|error| self.refuse(found, None, error.to_string())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_people_paste_it() {
        let plain = "ab".repeat(32);
        assert_eq!(clean_fingerprint(&fingerprint_in_words(&plain)).as_deref(), Some(plain.as_str()));
        assert_eq!(clean_fingerprint(&format!("sha256:{plain}\n")).as_deref(), Some(plain.as_str()));
        assert_eq!(clean_fingerprint("ab:cd"), None);
        assert_eq!(clean_fingerprint(&"zz".repeat(32)), None);
    }

    #[test]
    fn a_pin_that_is_no_fingerprint_is_refused_before_any_call() {
        let error = tls_config(Trust::Pinned("abcd".into()), Seen::default()).unwrap_err();
        assert_eq!(error.code(), "client_setup");
    }
}
