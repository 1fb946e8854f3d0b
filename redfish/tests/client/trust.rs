//! Who answers at an address: certificates, probes, strangers.

use redfish_client::{Class, Client, Fingerprint, Generation, Pin, Profile, RedfishError, Tls, Unreachable};

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::bmc::{Bmc, Identity, Reply, documents, identity};

static ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];
static ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

#[tokio::test]
async fn a_probe_reads_tag_and_certificate_without_a_login() {
    let identity = identity();
    let bmc = Bmc::showing(documents(), |_, _| None, &identity, 0).await;
    let probe = Client::probe(&Tls::new(8).unwrap(), &bmc.address, Pin::Unknown).await.unwrap();
    assert_eq!(probe.fingerprint, Fingerprint::of(identity.certificate.der()));
    assert_eq!(probe.root.service_tag(), Some("HLX0001"));
    assert_eq!(probe.root.redfish_version.as_deref(), Some("1.18.0"));
    assert_eq!(probe.profile, Profile::Dell { generation: Generation::Unknown });
    assert_eq!(bmc.seen().len(), 1);
    assert!(bmc.seen().iter().all(|seen| seen.token.is_none() && seen.authorization.is_none()));
}

#[tokio::test]
async fn a_changed_certificate_is_refused_before_anything_is_sent() {
    let bmc = Bmc::idrac().await;
    let known = Fingerprint::of(b"another certificate");
    let client = bmc.builder().pin(Pin::Sha256(known)).build();
    let error = client.login().await.unwrap_err();
    let RedfishError::CertificateChanged { pinned, seen, .. } = &error else { panic!("{error}") };
    assert_eq!(*pinned, known);
    assert_ne!(*seen, known);
    let text = error.to_string();
    assert!(text.contains(&pinned.to_string()) && text.contains(&seen.to_string()), "{text}");
    assert_eq!((error.code(), error.class()), ("bmc_certificate_changed", Class::Permanent));
    assert!(bmc.seen().is_empty());
}

#[tokio::test]
async fn trust_on_first_use_holds_for_the_life_of_the_client() {
    let first = Bmc::idrac().await;
    let client = first.client();
    assert_eq!(client.fingerprint(), None);
    client.login().await.unwrap();
    let seen = client.fingerprint().unwrap();
    let port = first.address.port();
    client.close().await.unwrap();
    first.stop().await;
    // The board is swapped: another certificate at the same address.
    let second = Bmc::showing(documents(), |_, _| None, &identity(), port).await;
    let error = client.login().await.unwrap_err();
    assert!(matches!(error, RedfishError::CertificateChanged { pinned, .. } if pinned == seen), "{error}");
    assert!(second.seen().is_empty());
}

#[tokio::test]
async fn a_copied_certificate_without_its_key_is_no_proof() {
    for versions in [ONLY_1_2, ONLY_1_3] {
        let stolen = identity();
        let thief = Identity { key: identity().key, versions, ..stolen };
        let pin = Pin::Sha256(Fingerprint::of(thief.certificate.der()));
        let bmc = Bmc::showing(documents(), |_, _| None, &thief, 0).await;
        let error = bmc.builder().pin(pin).build().login().await.unwrap_err();
        assert!(matches!(error, RedfishError::Unreachable { why: Unreachable::Handshake, .. }), "{error}");
        assert_eq!(error.code(), "bmc_tls_failed");
        assert!(bmc.seen().is_empty());
    }
}

#[tokio::test]
async fn a_bmc_that_knows_tls_1_2_only_is_spoken_to() {
    let bmc = Bmc::showing(documents(), |_, _| None, &Identity { versions: ONLY_1_2, ..identity() }, 0).await;
    bmc.client().login().await.unwrap();
}

#[tokio::test]
async fn two_bmcs_on_one_host_have_pins_of_their_own() {
    let (one, two) = (Bmc::idrac().await, Bmc::idrac().await);
    let tls = Tls::new(8).unwrap();
    let (first, second) = (one.builder_with(&tls).build(), two.builder_with(&tls).build());
    first.login().await.unwrap();
    second.login().await.unwrap();
    assert_ne!(first.fingerprint(), second.fingerprint());
    // Also when one TLS configuration remembers a session of the other port of the same host.
    first.close().await.unwrap();
    first.login().await.unwrap();
}

#[tokio::test]
async fn a_web_server_is_no_redfish_service() {
    for (reply, words) in [
        (Reply::bytes(200, "<html></html>".into()), "not JSON"),
        (Reply::bytes(200, "{\"hello\":1}".into()), "no service root"),
        (Reply::empty(404), "HTTP 404"),
    ] {
        let bmc = Bmc::odd(move |_, _| Some(reply.clone())).await;
        let error = Client::probe(&Tls::new(8).unwrap(), &bmc.address, Pin::Unknown).await.unwrap_err();
        assert_eq!(error.code(), "bmc_not_redfish");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn nothing_there_is_told_from_something_that_speaks_no_tls() {
    let tls = Tls::new(8).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = redfish_client::BmcAddress::new("127.0.0.1", listener.local_addr().unwrap().port());
    let speaks = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        tcp
    });
    let error = Client::probe(&tls, &address, Pin::Unknown).await.unwrap_err();
    assert!(matches!(error, RedfishError::Unreachable { why: Unreachable::Handshake, .. }), "{error}");
    drop(speaks.await.unwrap());
    let error = Client::probe(&tls, &address, Pin::Unknown).await.unwrap_err();
    assert!(matches!(error, RedfishError::Unreachable { why: Unreachable::Refused, .. }), "{error}");
    assert_eq!((error.code(), error.class()), ("bmc_unreachable", Class::Retry));
}
