//! Helix's own certificate authority: it signs the agents' client certificates and this controller's server certificates.
//!
//! Made at the first start, P-256, its key sealed under the key file. Agents and ramdisks know the controller by the key
//! of the agents listener, so that key stays when its certificate is renewed. It keeps no list of what it signed: which
//! agent certificate counts stands in the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use helix_inventory::id::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls::RootCertStore;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::access::private_file::{self, PrivateFileError};
use crate::access::secrets::{Secrets, SecretsError, random_bytes};
use crate::access::server_certificate::ServerCertificate;
use crate::config::advertise::CertificateNames;

/// Certificates start this long in the past: a node's clock may be wrong by hours, and time zones are mistaken.
pub const BACKDATE: TimeDelta = TimeDelta::hours(24);
/// The CA outlives the machines it signs for; changing it means touching every node.
const CA_LIFETIME: TimeDelta = TimeDelta::days(20 * 365);
/// Serial numbers are random, below the 20 bytes that RFC 5280 allows.
const SERIAL_BYTES: usize = 16;

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file of the CA cannot be read or written.
    #[error("a file of the certificate authority cannot be used")]
    File(#[from] PrivateFileError),
    /// A key cannot be sealed or opened.
    #[error("a key of the certificate authority cannot be used")]
    Secret(#[from] SecretsError),
    /// Only one of certificate and key is there.
    #[error(
        "{missing} is missing beside its other half: restore it from a backup, or move the whole folder {folder} away (all agents must then join anew)"
    )]
    Half { missing: PathBuf, folder: PathBuf },
    /// A stored certificate cannot be read.
    #[error("{0} holds no certificate that can be read")]
    Unreadable(PathBuf),
    /// A certificate cannot be made.
    #[error("cannot {what}")]
    Make {
        what: &'static str,
        #[source]
        source: rcgen::Error,
    },
    /// The request for a certificate is not right.
    #[error("the certificate request is not valid, or its signature does not fit its key")]
    Request(#[source] rcgen::Error),
    /// A date cannot be written into a certificate.
    #[error("the date {0} cannot stand in a certificate")]
    Date(DateTime<Utc>),
    /// rustls refuses it.
    #[error("the TLS configuration cannot be built")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CaError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Secret(error) => error.code(),
            Self::Half { .. } => "ca_incomplete",
            Self::Unreadable(_) => "ca_unreadable",
            Self::Make { .. } => "ca_failed",
            Self::Request(_) => "certificate_request_invalid",
            Self::Date(_) => "certificate_date_invalid",
            Self::Tls(_) => "tls_configuration",
        }
    }
}

/// What signs: the CA's key with its certificate. Shared by the CA and the server certificates that renew themselves.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// Helix's own certificate authority. Cheap to clone.
#[derive(Clone)]
pub struct Ca {
    authority: Arc<Authority>,
    certificate_pem: Arc<str>,
    api: Arc<ServerCertificate>,
    agents: Arc<ServerCertificate>,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ca({})", self.fingerprint())
    }
}

impl Ca {
    /// Opens the CA in `folder`, and makes it on first use; so also the server certificates for `names`.
    ///
    /// # Errors
    /// When files cannot be read or written, the key file is another one, or something is missing.
    pub fn open_or_create(
        folder: &Path,
        secrets: &Secrets,
        names: &CertificateNames,
        now: DateTime<Utc>,
    ) -> Result<Self, CaError> {
        std::fs::create_dir_all(folder).map_err(|source| PrivateFileError::Io {
            what: "make the folder",
            path: folder.to_owned(),
            source,
        })?;
        let key = open_or_create_key(folder, "ca", secrets, &folder.join("ca.pem"))?;
        let path = folder.join("ca.pem");
        let pem = match private_file::read(&path)? {
            Some(pem) => String::from_utf8(pem).map_err(|_| CaError::Unreadable(path.clone()))?,
            None => {
                let pem = make_ca(&key, now)?;
                private_file::write(&path, pem.as_bytes())?;
                pem
            }
        };
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError::Unreadable(path.clone()))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|source| CaError::Make { what: "use the certificate authority", source })?;
        let authority = Arc::new(Authority { issuer, certificate });
        let server = |name: &'static str| -> Result<Arc<ServerCertificate>, CaError> {
            let path = folder.join(format!("{name}.pem"));
            let key = open_or_create_key(folder, name, secrets, &path)?;
            Ok(Arc::new(ServerCertificate::open_or_issue(Arc::clone(&authority), key, path, names, now)?))
        };
        Ok(Self { api: server("api")?, agents: server("agents")?, certificate_pem: pem.into(), authority })
    }

    /// The CA's certificate, for agents to keep.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of the CA's certificate (DER), lower-case hex: what is printed at start and compared by people.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.authority.certificate))
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) of the agents listener, lower-case hex: the pin that
    /// ramdisks and agents know the controller by. It stays when the certificate is renewed.
    #[must_use]
    pub fn agents_key_sha256(&self) -> &str {
        self.agents.key_sha256()
    }

    /// The same for the API listener: what `helixctl` pins.
    #[must_use]
    pub fn api_key_sha256(&self) -> &str {
        self.api.key_sha256()
    }

    /// SHA-256 of the API listener's present certificate (DER), lower-case hex: what a browser shows.
    #[must_use]
    pub fn api_certificate_sha256(&self) -> String {
        self.api.certificate_sha256()
    }

    /// Signs an agent's request. Of the request only its key is taken, proven by its signature: the subject is the
    /// node's id, the use is that of a client, and it starts [`BACKDATE`] in the past.
    ///
    /// # Errors
    /// When the request is malformed or its signature wrong.
    pub fn sign(&self, csr_pem: &str, node: NodeId, not_after: DateTime<Utc>) -> Result<String, CaError> {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(CaError::Request)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, node.to_string());
        params.not_before = date(Utc::now() - BACKDATE)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(serial()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        request.params = params;
        let certificate = request
            .signed_by(&self.authority.issuer)
            .map_err(|source| CaError::Make { what: "sign an agent's certificate", source })?;
        Ok(certificate.pem())
    }

    /// TLS for the API listener, with our own certificate or one that was given.
    ///
    /// # Errors
    /// When rustls refuses it.
    pub fn api_tls(&self, given: Option<Arc<CertifiedKey>>) -> Result<rustls::ServerConfig, CaError> {
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| CaError::Tls(error.into()))?;
        let resolver: Arc<dyn ResolvesServerCert> = match given {
            Some(certified) => Arc::new(SingleCertAndKey::from(certified)),
            None => Arc::clone(&self.api) as _,
        };
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// TLS for the agents listener: a client certificate is optional, and when there is one it must be ours and in date.
    ///
    /// # Errors
    /// When rustls refuses it.
    pub fn agents_tls(&self) -> Result<rustls::ServerConfig, CaError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.clone()).map_err(|error| CaError::Tls(error.into()))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| CaError::Tls(error.into()))?;
        let builder = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| CaError::Tls(error.into()))?;
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::clone(&self.agents) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Renews the server certificates that are near their end; connections that are open keep the old one.
    ///
    /// # Errors
    /// When one cannot be made; the present one stays.
    pub fn renew_due(&self, now: DateTime<Utc>) -> Result<bool, CaError> {
        let api = self.api.renew_due(now)?;
        let agents = self.agents.renew_due(now)?;
        Ok(api || agents)
    }
}

impl Authority {
    /// A server certificate for a key and names.
    pub(crate) fn server(
        &self,
        key: &KeyPair,
        names: &[String],
        not_before: DateTime<Utc>,
        not_after: DateTime<Utc>,
    ) -> Result<rcgen::Certificate, CaError> {
        let make = |source| CaError::Make { what: "make a server certificate", source };
        let mut params = CertificateParams::new(names.to_vec()).map_err(make)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Helix controller");
        params.not_before = date(not_before)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(serial()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).map_err(make)
    }
}

/// The node that a client certificate was signed for. Whether it is ours was checked by TLS; whether it still counts
/// stands in the database.
#[must_use]
pub fn node_of(certificate: &[u8]) -> Option<NodeId> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    name.parse().ok()
}

fn make_ca(key: &KeyPair, now: DateTime<Utc>) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // The random part tells the authorities of two sites apart in a browser's list.
    params.distinguished_name.push(DnType::CommonName, format!("Helix CA {}", hex::encode(random_bytes::<4>()?)));
    params.not_before = date(now - BACKDATE)?;
    params.not_after = date(now + CA_LIFETIME)?;
    params.serial_number = Some(serial()?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate =
        params.self_signed(key).map_err(|source| CaError::Make { what: "make the certificate authority", source })?;
    Ok(certificate.pem())
}

/// Opens the sealed key `name.key`, and makes it when neither it nor `certificate` is there.
fn open_or_create_key(folder: &Path, name: &str, secrets: &Secrets, certificate: &Path) -> Result<KeyPair, CaError> {
    let path = folder.join(format!("{name}.key"));
    let associated_data = format!("ca:{name}.key");
    match private_file::read(&path)? {
        Some(sealed) => {
            let der = secrets.open(&sealed, associated_data.as_bytes())?;
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der.as_slice()), &PKCS_ECDSA_P256_SHA256)
                .map_err(|source| CaError::Make { what: "read a key of the certificate authority", source })
        }
        None if certificate.exists() => Err(CaError::Half { missing: path, folder: folder.to_owned() }),
        None => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
                .map_err(|source| CaError::Make { what: "make a key", source })?;
            let der = Zeroizing::new(key.serialize_der());
            private_file::write(&path, &secrets.seal(&der, associated_data.as_bytes())?)?;
            Ok(key)
        }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = random_bytes::<SERIAL_BYTES>()?;
    // A serial number is positive: the top bit stays clear, and the next one set so that it is never zero.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A date as rcgen wants it, in whole seconds.
fn date(at: DateTime<Utc>) -> Result<time::OffsetDateTime, CaError> {
    time::OffsetDateTime::from_unix_timestamp(at.timestamp()).map_err(|_| CaError::Date(at))
}

#[cfg(test)]
mod tests;
