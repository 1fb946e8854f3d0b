//! Tests of the engine against a real Postgres, with toy steps that do what a test tells them.

mod answers;
mod claims;
mod effects;
mod outcomes;
mod random;
mod simulated;
mod site;
mod toy;
