//! One TLS configuration for all BMCs.
//!
//! A BMC's factory certificate is self-signed, so it is known by its fingerprint, not by a chain or dates. The handshake
//! signature is verified here (the peer owns the key of the certificate that it shows); which certificate that must be is
//! decided in `transport` right after the handshake and before the first byte of HTTP, because only there host *and* port are
//! known. It holds no pins: the caller does.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

/// SHA-256 over the DER form of a BMC's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The text is not 32 bytes in hexadecimal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("read a certificate fingerprint: it must be 64 hexadecimal digits, colons allowed")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Accepts what people paste: upper or lower case, with or without colons.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.chars().filter(|c| *c != ':' && !c.is_whitespace()).collect();
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }
}

/// What is known of the certificate of one `host:port`. The caller stores it; a client starts from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// First contact: the certificate seen is taken, reported by `Client::fingerprint`, and held from then on.
    Unknown,
    /// Only this certificate; any other is refused as `RedfishError::CertificateChanged`.
    Sha256(Fingerprint),
}

/// The shared TLS configuration. Cloning it shares it; a whole fleet needs one.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// A configuration whose resumption store holds a ticket for each of `fleet` BMCs (about 1 KiB each), so that a connection
    /// opened again after the idle limit costs no signature on either side.
    ///
    /// # Errors
    /// When the crypto provider offers no protocol version, which no build of ours does.
    pub fn new(fleet: usize) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OwnsItsKey { provider }))
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(fleet.max(8));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

/// Accepts any certificate, but only from who owns its key.
#[derive(Debug)]
struct OwnsItsKey {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OwnsItsKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_fingerprint_is_read_with_colons_and_capitals() {
        let plain = Fingerprint::of(b"certificate");
        let pasted: Vec<String> = plain.0.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(pasted.join(":").parse(), Ok(plain));
        assert_eq!(plain.to_string().parse(), Ok(plain));
        assert_eq!("abcd".parse::<Fingerprint>(), Err(FingerprintError));
    }
}
