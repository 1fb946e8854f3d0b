//! The agent against a controller that speaks the protocol: deployments onto file-backed disks, joins over mutual TLS, a simulated
//! fleet. Everything runs on loopback and needs no root; mounting is left to the virtual machine tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is how a test fails")]

mod controller;
mod deploy;
mod disk;
mod glibc;
mod loopback;
mod node;
mod simulate;

/// TLS needs its provider chosen once in each process.
pub(crate) fn tls_provider() {
    // Every test asks; all but the first find it installed.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
