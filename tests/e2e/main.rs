//! End-to-end tests: the real programs, on loopback.

mod sushy;
