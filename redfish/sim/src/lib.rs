//! A stateful fleet of simulated iDRACs.
