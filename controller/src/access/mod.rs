//! Who may do what, and the secrets behind it.
//!
//! `secrets` seals what lies in the database, `ca` is Helix's own certificate authority, `password` and `token` prove
//! who somebody is, `audit` writes down what they did, `private_file` keeps files that nobody else may read. Sessions,
//! roles and the middleware that asks for them live in `http`.

pub mod audit;
pub mod ca;
pub mod first_admin;
pub mod given_certificate;
pub mod password;
pub mod private_file;
pub mod secrets;
pub mod server_certificate;
pub mod token;
