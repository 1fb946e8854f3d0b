//! The wire contract of Helix and a typed client for it.
