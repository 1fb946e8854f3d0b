//! The command line of Helix: the dashboard's equal, over the public API only.
//!
//! `args` is the grammar, a file per noun does the work, `output` and `table` are the only renderers, `problem` is how
//! everything that fails is said.

pub mod args;
pub mod ask;
pub mod completion;
pub mod context;
pub mod credential;
pub mod explain;
pub mod follow;
pub mod image;
pub mod login;
pub mod node;
pub mod output;
pub mod problem;
pub mod run;
pub mod selection;
pub mod style;
pub mod table;
pub mod time;
pub mod workflow;
