//! What the listeners tell the routes about a connection.

/// The client certificate of a connection to the agents listener (DER), already found to be ours and in date; `None`
/// when the client showed none. A request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate(pub Option<Vec<u8>>);
