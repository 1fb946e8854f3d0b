//! What agents and people can rely on from the certificate authority.

use super::*;

fn names() -> CertificateNames {
    CertificateNames {
        needed: vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "helix.example".to_owned()],
        local: vec!["192.0.2.7".to_owned()],
    }
}

fn open(folder: &Path, now: DateTime<Utc>) -> Ca {
    let secrets = Secrets::open_or_create(&folder.join("secret.key")).unwrap();
    Ca::open_or_create(&folder.join("ca"), &secrets, &names(), now).unwrap()
}

fn request() -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "another node");
    (params.serialize_request(&key).unwrap().pem().unwrap(), key)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn the_authority_and_the_pins_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), Utc::now());
    let second = open(folder.path(), Utc::now());
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.agents_key_sha256(), second.agents_key_sha256());
    assert_ne!(first.agents_key_sha256(), first.api_key_sha256());
    assert_eq!(first.api_certificate_sha256(), second.api_certificate_sha256(), "people compared it");
}

#[test]
fn an_agents_certificate_names_the_node_and_nothing_that_the_request_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let ca = open(folder.path(), Utc::now());
    let node = NodeId(uuid::Uuid::now_v7());
    let (csr, _key) = request();
    let certificate = der(&ca.sign(&csr, node, Utc::now() + TimeDelta::days(30)).unwrap());
    assert_eq!(node_of(&certificate), Some(node));
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    assert!(parsed.subject_alternative_name().unwrap().is_none());
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
}

#[test]
fn an_agents_certificate_starts_a_day_in_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let ca = open(folder.path(), Utc::now());
    let (csr, _key) = request();
    let pem = ca.sign(&csr, NodeId(uuid::Uuid::now_v7()), Utc::now() + TimeDelta::days(30)).unwrap();
    let certificate = der(&pem);
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    let age = Utc::now().timestamp() - parsed.validity().not_before.timestamp();
    assert!((86_400..86_460).contains(&age), "{age}");
}

#[test]
fn a_request_whose_signature_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ca = open(folder.path(), Utc::now());
    let (csr, _key) = request();
    let mut bytes = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(csr.as_bytes()).unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let forged = format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n");
    let error = ca.sign(&forged, NodeId(uuid::Uuid::now_v7()), Utc::now()).unwrap_err();
    assert_eq!(error.code(), "certificate_request_invalid");
    assert_eq!(ca.sign("nonsense", NodeId(uuid::Uuid::now_v7()), Utc::now()).unwrap_err().code(), error.code());
}

#[test]
fn a_server_certificate_is_renewed_before_it_ends_and_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let start = Utc::now();
    let ca = open(folder.path(), start);
    let before = ca.api_certificate_sha256();
    let pin = ca.api_key_sha256().to_owned();
    assert!(!ca.renew_due(start + TimeDelta::days(366)).unwrap());
    assert_eq!(ca.api_certificate_sha256(), before);
    assert!(ca.renew_due(start + TimeDelta::days(368)).unwrap());
    assert_ne!(ca.api_certificate_sha256(), before);
    assert_eq!(ca.api_key_sha256(), pin);
}

#[test]
fn another_key_file_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), Utc::now());
    std::fs::remove_file(folder.path().join("secret.key")).unwrap();
    let secrets = Secrets::open_or_create(&folder.path().join("secret.key")).unwrap();
    let error = Ca::open_or_create(&folder.path().join("ca"), &secrets, &names(), Utc::now()).unwrap_err();
    assert_eq!(error.code(), "secret_key_wrong");
}

#[test]
fn a_lost_half_of_the_authority_is_never_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), Utc::now());
    std::fs::remove_file(folder.path().join("ca/ca.key")).unwrap();
    let secrets = Secrets::open_or_create(&folder.path().join("secret.key")).unwrap();
    let error = Ca::open_or_create(&folder.path().join("ca"), &secrets, &names(), Utc::now()).unwrap_err();
    assert_eq!(error.code(), "ca_incomplete");
    assert!(error.to_string().contains("ca.key"), "{error}");
    assert!(std::fs::read_to_string(folder.path().join("ca/ca.pem")).unwrap().contains(first.certificate_pem()));
}

#[test]
fn a_new_certificate_is_made_for_a_new_name_and_not_for_an_interface_that_comes_or_goes() {
    let folder = tempfile::tempdir().unwrap();
    let before = open(folder.path(), Utc::now()).api_certificate_sha256();
    let secrets = Secrets::open_or_create(&folder.path().join("secret.key")).unwrap();
    let mut other = names();
    other.local = vec!["192.0.2.99".to_owned()];
    let again =
        |names: &CertificateNames| Ca::open_or_create(&folder.path().join("ca"), &secrets, names, Utc::now()).unwrap();
    assert_eq!(again(&other).api_certificate_sha256(), before);
    other.needed.push("cluster.example".to_owned());
    let renamed = again(&other).api_certificate_sha256();
    assert_ne!(renamed, before);
    assert_eq!(again(&other).api_certificate_sha256(), renamed);
}
