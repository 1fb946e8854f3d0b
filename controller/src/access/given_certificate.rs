//! A certificate of the site for the API listener, in place of one of Helix's own authority.
//!
//! Read at start. Whether it is in date and for the right names is between the site and its clients; that key and
//! certificate belong together is checked here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::access::private_file::{self, PrivateFileError};
use crate::config::ApiConfig;

/// What can be wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum GivenCertificateError {
    /// Only one of the two settings is set.
    #[error("api.certificate and api.certificate_key belong together: set both or neither")]
    Half,
    /// A file cannot be read.
    #[error("cannot read {path} (setting {setting})")]
    Read {
        path: PathBuf,
        setting: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// The key file cannot be read, or others may read it.
    #[error("cannot use the key of the API's certificate")]
    Key(#[from] PrivateFileError),
    /// A file does not hold what it should.
    #[error("{path} (setting {setting}) holds no {what} in PEM")]
    Content { path: PathBuf, setting: &'static str, what: &'static str },
    /// Key and certificate do not belong together.
    #[error("the key in {key} is not the key of the certificate in {certificate}")]
    Mismatch {
        key: PathBuf,
        certificate: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

impl GivenCertificateError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Half => "certificate_incomplete",
            Self::Read { .. } => "certificate_unreadable",
            Self::Key(error) => error.code(),
            Self::Content { .. } => "certificate_not_pem",
            Self::Mismatch { .. } => "certificate_key_mismatch",
        }
    }
}

/// The site's certificate with its key.
#[derive(Debug)]
pub struct GivenCertificate {
    pub certified: Arc<CertifiedKey>,
    /// SHA-256 of the certificate (DER), lower-case hex.
    pub sha256: String,
}

/// Loads what the settings name; `None` when they name nothing.
///
/// # Errors
/// When only one is named, a file cannot be used, or they do not belong together.
pub fn load(config: &ApiConfig) -> Result<Option<GivenCertificate>, GivenCertificateError> {
    match (&config.certificate, &config.certificate_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => read(certificate, key).map(Some),
        _ => Err(GivenCertificateError::Half),
    }
}

fn read(certificate: &Path, key: &Path) -> Result<GivenCertificate, GivenCertificateError> {
    let content = |path: &Path, setting, what| GivenCertificateError::Content { path: path.to_owned(), setting, what };
    let pem = std::fs::read(certificate).map_err(|source| GivenCertificateError::Read {
        path: certificate.to_owned(),
        setting: "api.certificate",
        source,
    })?;
    let no_certificate = || content(certificate, "api.certificate", "certificate");
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| no_certificate())?;
    let sha256 = hex::encode(Sha256::digest(chain.first().ok_or_else(no_certificate)?));
    let pem = private_file::read(key)?.map(Zeroizing::new).ok_or_else(|| GivenCertificateError::Read {
        path: key.to_owned(),
        setting: "api.certificate_key",
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    let no_key = || content(key, "api.certificate_key", "private key");
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let mismatch =
        |source| GivenCertificateError::Mismatch { key: key.to_owned(), certificate: certificate.to_owned(), source };
    let certified =
        CertifiedKey::from_der(chain, private, &rustls::crypto::ring::default_provider()).map_err(mismatch)?;
    Ok(GivenCertificate { certified: Arc::new(certified), sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn files(folder: &Path, certificate: &str, key: &str) -> ApiConfig {
        let mut config = Config::default().api;
        let (certificate_path, key_path) = (folder.join("site.pem"), folder.join("site.key"));
        std::fs::write(&certificate_path, certificate).unwrap();
        private_file::write(&key_path, key.as_bytes()).unwrap();
        config.certificate = Some(certificate_path);
        config.certificate_key = Some(key_path);
        config
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["helix.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_with_its_key_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = pair();
        let given = load(&files(folder.path(), &certificate, &key)).unwrap().unwrap();
        assert_eq!(given.certified.cert.len(), 1);
        assert_eq!(given.sha256.len(), 64);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_with_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&files(folder.path(), &pair().0, &pair().1)).unwrap_err();
        assert_eq!(error.code(), "certificate_key_mismatch");
        assert!(error.to_string().contains("site.key") && error.to_string().contains("site.pem"), "{error}");
    }

    #[test]
    fn a_file_without_a_certificate_names_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&files(folder.path(), "nothing", &pair().1)).unwrap_err();
        assert!(error.to_string().contains("api.certificate"), "{error}");
        let mut half = files(folder.path(), &pair().0, &pair().1);
        half.certificate_key = None;
        assert_eq!(load(&half).unwrap_err().code(), "certificate_incomplete");
    }
}
