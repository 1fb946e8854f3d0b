//! The agent's key and certificate on disk.
//!
//! The key is made on the node, is readable by its owner only, and never leaves it; the controller signs a request made with it. Files
//! are replaced as a whole, so that a crash leaves the old or the new one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use x509_parser::pem::parse_x509_pem;

use crate::controller::ClientIdentity;

/// Renewal begins when this share of a certificate's life is left: with 90 days there are 30 in which the controller may be away.
const RENEW_AT_SHARE_LEFT: f64 = 1.0 / 3.0;

/// Why key or certificate could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be read or written.
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A key or request cannot be made.
    #[error("cannot make {0}")]
    Crypto(&'static str, #[source] rcgen::Error),
    /// The stored certificate does not parse.
    #[error("the certificate in {0} does not parse; remove the folder and join the node again")]
    Certificate(PathBuf),
}

/// Who this node is for the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    pub node_id: String,
    pub node_name: String,
    pub report_interval_seconds: u32,
}

/// The folder with key, certificate and membership.
#[derive(Debug, Clone)]
pub struct Credentials {
    folder: PathBuf,
}

impl Credentials {
    /// Credentials in this folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The membership, when the node has joined.
    pub fn membership(&self) -> Option<Membership> {
        let text = fs::read_to_string(self.path("node.json")).ok()?;
        fs::metadata(self.path("certificate.pem")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Key and certificate for the connection.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn identity(&self) -> Result<ClientIdentity, CredentialError> {
        Ok(ClientIdentity { certificate_pem: self.read("certificate.pem")?, key_pem: self.read("key.pem")? })
    }

    /// A certificate request with the node's key, which is made when there is none. The controller decides the name.
    ///
    /// # Errors
    /// When the key cannot be made, read or stored.
    pub fn request(&self) -> Result<String, CredentialError> {
        let key = match fs::read_to_string(self.path("key.pem")) {
            Ok(pem) => KeyPair::from_pem(&pem)
                .map_err(|error| CredentialError::Crypto("the agent's key from its file", error))?,
            Err(_) => {
                let key = KeyPair::generate().map_err(|error| CredentialError::Crypto("a key", error))?;
                self.write("key.pem", &key.serialize_pem(), 0o600)?;
                key
            }
        };
        let made = |error| CredentialError::Crypto("a certificate request", error);
        CertificateParams::default().serialize_request(&key).map_err(made)?.pem().map_err(made)
    }

    /// Stores what a join gave. The certificate goes last but one and the membership last: with it the node counts as joined.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn store(&self, certificate_pem: &str, ca_pem: &str, membership: &Membership) -> Result<(), CredentialError> {
        self.renewed(certificate_pem, ca_pem)?;
        let text = serde_json::to_string(membership).unwrap_or_default();
        self.write("node.json", &text, 0o644)
    }

    /// Stores what a renewal gave.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn renewed(&self, certificate_pem: &str, ca_pem: &str) -> Result<(), CredentialError> {
        self.write("ca.pem", ca_pem, 0o644)?;
        self.write("certificate.pem", certificate_pem, 0o644)
    }

    /// Whether the certificate should be renewed at this time.
    ///
    /// # Errors
    /// When it cannot be read or does not parse.
    pub fn due(&self, now: DateTime<Utc>) -> Result<bool, CredentialError> {
        let pem = self.read("certificate.pem")?;
        let broken = || CredentialError::Certificate(self.folder.clone());
        let (_, parsed) = parse_x509_pem(pem.as_bytes()).map_err(|_| broken())?;
        let certificate = parsed.parse_x509().map_err(|_| broken())?;
        let (from, until) =
            (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
        let left = (until - now.timestamp()) as f64;
        Ok(left < (until - from) as f64 * RENEW_AT_SHARE_LEFT)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> Result<String, CredentialError> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|source| CredentialError::Io { what: "read", path, source })
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), CredentialError> {
        let path = self.path(name);
        replace(&self.folder, &path, text, mode).map_err(|source| CredentialError::Io { what: "write", path, source })
    }
}

/// Writes a file beside its place and moves it there.
fn replace(folder: &Path, path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_extension("new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use std::os::unix::fs::PermissionsExt;

    fn certificate(days: i64) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let now = Utc::now().timestamp();
        params.not_before = x509_parser::time::ASN1Time::from_timestamp(now).unwrap().to_datetime();
        params.not_after = x509_parser::time::ASN1Time::from_timestamp(now + days * 86_400).unwrap().to_datetime();
        params.self_signed(&key).unwrap().pem()
    }

    fn membership() -> Membership {
        Membership { node_id: "n1".into(), node_name: "r01u05".into(), report_interval_seconds: 15 }
    }

    #[test]
    fn the_key_is_the_owners_alone_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::at(folder.path().join("state"));
        credentials.request().unwrap();
        let key = fs::read_to_string(folder.path().join("state/key.pem")).unwrap();
        assert_eq!(fs::metadata(folder.path().join("state/key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
        credentials.request().unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("state/key.pem")).unwrap(),
            key,
            "a second request uses the same key"
        );
    }

    #[test]
    fn a_node_has_joined_when_certificate_and_membership_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::at(folder.path());
        assert_eq!(credentials.membership(), None);
        credentials.store(&certificate(90), "ca", &membership()).unwrap();
        assert_eq!(credentials.membership(), Some(membership()));
    }

    #[test]
    fn renewal_is_due_in_the_last_third() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::at(folder.path());
        credentials.renewed(&certificate(90), "ca").unwrap();
        let now = Utc::now();
        assert!(!credentials.due(now + TimeDelta::days(59)).unwrap());
        assert!(credentials.due(now + TimeDelta::days(61)).unwrap());
        assert!(credentials.due(now + TimeDelta::days(200)).unwrap(), "an expired one as well");
    }
}
