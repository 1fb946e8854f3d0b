//! BMCs: one client each, with the gate on logins and the breaker in front, and the translation of what they say.
//!
//! `pool` keeps clients, `handle` is one client that notes how its calls went, `gate` counts refused logins in Postgres,
//! `error` and `verdict` turn Redfish errors into what a step does, `collect` turns a reading into `Hardware`.

pub mod collect;
mod error;
mod gate;
mod handle;
mod pool;
mod verdict;

pub use self::error::BmcError;
pub use self::handle::Bmc;
pub use self::pool::BmcPool;
pub use self::verdict::{Verdict, verdict};
