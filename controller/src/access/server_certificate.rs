//! One server certificate of this controller: kept over restarts, renewed before it ends, its key always the same.
//!
//! People compared the certificate's fingerprint once and their programs hold on to it, so a new one is made only when
//! a name that is needed is missing, or the end is near. Agents hold on to the key and never notice.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::KeyPair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::access::ca::{Authority, BACKDATE, CaError};
use crate::access::private_file;
use crate::config::advertise::CertificateNames;

/// The longest that every browser takes for a server certificate is 398 days.
const LIFETIME: TimeDelta = TimeDelta::days(397);
/// Renewed a month before its end: time to tell people of the new fingerprint, also after weeks of being off.
const RENEW_BEFORE: TimeDelta = TimeDelta::days(30);

/// A key with its present certificate.
pub struct ServerCertificate {
    authority: Arc<Authority>,
    key: KeyPair,
    key_sha256: String,
    path: PathBuf,
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
    /// Takes the certificate at `path` when it fits key, authority and names and is not near its end; else issues one.
    pub(crate) fn open_or_issue(
        authority: Arc<Authority>,
        key: KeyPair,
        path: PathBuf,
        names: &CertificateNames,
        now: DateTime<Utc>,
    ) -> Result<Self, CaError> {
        let key_sha256 = hex::encode(Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)));
        let kept = kept(&path, &authority, &key_sha256, &names.needed)?;
        let (certificate, not_after) = match kept.filter(|(_, not_after)| *not_after - now > RENEW_BEFORE) {
            Some(kept) => kept,
            None => issue(&authority, &key, &path, &names.all(), now)?,
        };
        let present = present(&authority, &key, certificate, not_after)?;
        Ok(Self { authority, key, key_sha256, path, names: names.all(), present: RwLock::new(present) })
    }

    pub(crate) fn key_sha256(&self) -> &str {
        &self.key_sha256
    }

    pub(crate) fn certificate_sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.certified().cert[0]))
    }

    /// Makes a new certificate when the present one is near its end; says whether it did.
    pub(crate) fn renew_due(&self, now: DateTime<Utc>) -> Result<bool, CaError> {
        let not_after = self.present.read().unwrap_or_else(PoisonError::into_inner).not_after;
        if not_after - now > RENEW_BEFORE {
            return Ok(false);
        }
        let (certificate, not_after) = issue(&self.authority, &self.key, &self.path, &self.names, now)?;
        let fresh = present(&self.authority, &self.key, certificate, not_after)?;
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.present.read().unwrap_or_else(PoisonError::into_inner).certified)
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

/// The certificate on disk with its end, when it is for this key, of this authority, and has all these names.
fn kept(
    path: &Path,
    authority: &Authority,
    key_sha256: &str,
    needed: &[String],
) -> Result<Option<(CertificateDer<'static>, DateTime<Utc>)>, CaError> {
    let Some(pem) = private_file::read(path)? else { return Ok(None) };
    let Ok(certificate) = CertificateDer::from_pem_slice(&pem) else { return Ok(None) };
    let fits = || {
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let (_, issuer) = X509Certificate::from_der(&authority.certificate).ok()?;
        parsed.verify_signature(Some(issuer.public_key())).ok()?;
        let ours = hex::encode(Sha256::digest(parsed.tbs_certificate.subject_pki.raw)) == key_sha256;
        let present = names(&parsed);
        let complete = needed.iter().all(|name| present.contains(name));
        let not_after = DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)?;
        (ours && complete).then_some(not_after)
    };
    let not_after = fits();
    Ok(not_after.map(|not_after| (certificate, not_after)))
}

/// The names in a certificate, addresses as they are written.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
                16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn issue(
    authority: &Authority,
    key: &KeyPair,
    path: &Path,
    names: &[String],
    now: DateTime<Utc>,
) -> Result<(CertificateDer<'static>, DateTime<Utc>), CaError> {
    let not_after = now + LIFETIME;
    let certificate = authority.server(key, names, now - BACKDATE, not_after)?;
    private_file::write(path, certificate.pem().as_bytes())?;
    Ok((certificate.into(), not_after))
}

fn present(
    authority: &Authority,
    key: &KeyPair,
    certificate: CertificateDer<'static>,
    not_after: DateTime<Utc>,
) -> Result<Present, CaError> {
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing =
        rustls::crypto::ring::sign::any_supported_type(&private).map_err(|error| CaError::Tls(error.into()))?;
    // The CA goes with it, so that a client can trust the authority once and not each certificate.
    let chain = vec![certificate, authority.certificate.clone()];
    Ok(Present { certified: Arc::new(CertifiedKey::new(chain, signing)), not_after })
}
