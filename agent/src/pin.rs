//! Knowing the controller by its key, not by dates or names.
//!
//! A node that boots with a wrong clock, or reaches the controller under an address that no certificate names, must still know whom
//! it talks to: the SHA-256 of the server's public key came with the deploy block or the agent's configuration. The handshake
//! signature is verified, so the peer must hold the key's private half; validity dates, names and issuers are not looked at.

use std::sync::Arc;

use rustls::DigitallySignedStruct;
use rustls::SignatureScheme;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

/// SHA-256 over the DER of a certificate's SubjectPublicKeyInfo, lower-case hex; `None` when the certificate does not parse.
pub fn key_sha256(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(hex::encode(Sha256::digest(parsed.tbs_certificate.subject_pki.raw)))
}

/// Accepts exactly the server that holds the pinned key.
#[derive(Debug)]
pub struct PinnedKey {
    key_sha256: String,
    provider: Arc<CryptoProvider>,
}

impl PinnedKey {
    /// A verifier for the key with this SHA-256 (hex, any case, colons allowed).
    pub fn new(key_sha256: &str, provider: Arc<CryptoProvider>) -> Self {
        Self { key_sha256: key_sha256.replace(':', "").trim().to_ascii_lowercase(), provider }
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found =
            key_sha256(end_entity).ok_or(rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        if found == self.key_sha256 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(format!(
                "the server's key is not the controller's: expected sha256 {}, found {found}",
                self.key_sha256
            )))
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
