//! `helixctl`: the command line of Helix.

fn main() {}
