//! The command line of Helix.
