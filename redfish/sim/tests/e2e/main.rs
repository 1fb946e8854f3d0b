//! A fleet in this process, talked to over TLS as a client would. Everything here uses the public library and HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod client;
mod faults;
mod host;
mod images;
mod jobs;
mod login;
mod media;
mod power;
mod restart;
mod walk;
