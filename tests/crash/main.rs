//! The controller with a death wish: `helixd` linked with a hook that kills the process at each crash point, once.
//!
//! `HELIX_CRASH_MARKS` names a folder; a point whose file is there already is passed. `HELIX_CRASH_ONLY` limits the deaths to
//! one point. The shipped binary has no such switch.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use helix_controller::serve::Hooks;
use helix_controller::workflow::CrashPoint;
use helix_tests::crash::mark;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn main() -> ExitCode {
    let Some(marks) = std::env::var_os("HELIX_CRASH_MARKS").map(PathBuf::from) else {
        eprintln!("helixd-crash: HELIX_CRASH_MARKS names no folder");
        return ExitCode::FAILURE;
    };
    let only = std::env::var("HELIX_CRASH_ONLY").ok();
    let crash = Arc::new(move |point: &CrashPoint| {
        let name = mark(&point.step, point.moment, point.effect);
        if only.as_deref().is_some_and(|only| only != name) {
            return;
        }
        // Creating the file decides: a point is died at once, however often it is passed.
        match std::fs::File::create_new(marks.join(&name)) {
            Ok(_) => {
                eprintln!("dying at {name}");
                if let Err(error) = kill(Pid::this(), Signal::SIGKILL) {
                    eprintln!("cannot die: {error}");
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => eprintln!("cannot mark {name}: {error}"),
        }
    });
    helix_controller::command::main(Hooks { crash: Some(crash) })
}
