//! The controller: what decides and acts.
//!
//! A library and a binary (`helixd`): the binary is `serve::run` with a command line around it, so that tests can link
//! the same controller with a hook at its crash points. `app` holds what everything shares; `store` is the only place
//! with SQL; `workflow` is the only place that changes a node.

pub mod access;
pub mod agents;
pub mod app;
pub mod bmc;
pub mod bulk;
pub mod chain;
pub mod changes;
pub mod clock;
pub mod command;
pub mod config;
pub mod data_folder;
pub mod database;
pub mod enrol;
pub mod http;
pub mod listener;
pub mod logging;
pub mod media;
pub mod serve;
pub mod store;
pub mod workflow;
