//! One server certificate of this controller: its key stays, the certificate renews itself before it ends.
//!
//! The certificate is made anew at every start, for the names advertised then; only the key is kept on disk.

use std::fmt;
use std::sync::{Arc, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::KeyPair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use crate::access::ca::{Authority, BACKDATE, CaError};

/// Browsers refuse server certificates of more than 398 days, even of an authority that was added by hand.
const LIFETIME: TimeDelta = TimeDelta::days(90);
/// Renewed when a third is left, so that a controller that was off for weeks still starts with a valid one.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(30);

/// A key with its present certificate.
pub struct ServerCertificate {
    authority: Arc<Authority>,
    key: KeyPair,
    key_sha256: String,
    names: Vec<String>,
    present: RwLock<Present>,
}

struct Present {
    certified: Arc<CertifiedKey>,
    not_after: DateTime<Utc>,
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCertificate(key {})", self.key_sha256)
    }
}

impl ServerCertificate {
    /// Issues a certificate for a key.
    pub(crate) fn issue(
        authority: Arc<Authority>,
        key: KeyPair,
        names: &[String],
        now: DateTime<Utc>,
    ) -> Result<Self, CaError> {
        let present = make(&authority, &key, names, now)?;
        let key_sha256 = hex::encode(Sha256::digest(spki(&present.certified.cert[0])?));
        Ok(Self { authority, key, key_sha256, names: names.to_vec(), present: RwLock::new(present) })
    }

    pub(crate) fn key_sha256(&self) -> &str {
        &self.key_sha256
    }

    pub(crate) fn certificate_sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.certified().cert[0]))
    }

    /// Makes a new certificate when the present one is near its end; says whether it did.
    pub(crate) fn renew_due(&self, now: DateTime<Utc>) -> Result<bool, CaError> {
        let not_after = self.present.read().unwrap_or_else(std::sync::PoisonError::into_inner).not_after;
        if not_after - now > RENEW_BEFORE {
            return Ok(false);
        }
        let fresh = make(&self.authority, &self.key, &self.names, now)?;
        *self.present.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(true)
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.present.read().unwrap_or_else(std::sync::PoisonError::into_inner).certified)
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

fn make(authority: &Authority, key: &KeyPair, names: &[String], now: DateTime<Utc>) -> Result<Present, CaError> {
    let not_after = now + LIFETIME;
    let certificate = authority.server(key, names, now - BACKDATE, not_after)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing =
        rustls::crypto::ring::sign::any_supported_type(&private).map_err(|error| CaError::Tls(error.into()))?;
    // The CA goes with it, so that a client can trust the authority once and not each certificate.
    let chain: Vec<CertificateDer<'static>> = vec![certificate, authority.certificate.clone()];
    Ok(Present { certified: Arc::new(CertifiedKey::new(chain, signing)), not_after })
}

fn spki(certificate: &[u8]) -> Result<Vec<u8>, CaError> {
    use x509_parser::prelude::FromDer;
    let (_, parsed) = x509_parser::prelude::X509Certificate::from_der(certificate)
        .map_err(|error| CaError::Tls(error.to_string().into()))?;
    Ok(parsed.tbs_certificate.subject_pki.raw.to_vec())
}
