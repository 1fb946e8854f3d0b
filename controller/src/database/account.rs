//! The user that the private Postgres runs as, for it refuses to run as root.
//!
//! Helix adds no users to the machine: it takes one that is there. A site that wants one of its own adds
//! `helix-postgres`, which is preferred.

use nix::unistd::{Gid, Uid, User, geteuid};

use crate::database::DatabaseError;

/// In order: the site's own choice, the one that the package of Postgres makes, the one that owns nothing.
const CANDIDATES: &[&str] = &["helix-postgres", "postgres", "nobody"];

/// An unprivileged user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
}

/// The user to drop to; `None` when helixd itself is unprivileged and Postgres runs as the same user.
pub(crate) fn find() -> Result<Option<Account>, DatabaseError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    CANDIDATES
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .filter(|user| !user.uid.is_root())
        .map(|user| Some(Account { uid: user.uid, gid: user.gid }))
        .ok_or_else(|| DatabaseError::NoAccount { tried: CANDIDATES.join(", ") })
}

/// The name under which the private Postgres sees helixd connect.
pub(crate) fn own_name() -> String {
    User::from_uid(geteuid()).ok().flatten().map_or_else(|| geteuid().to_string(), |user| user.name)
}
