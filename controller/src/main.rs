//! `helixd`: the Helix controller.

fn main() -> std::process::ExitCode {
    helix_controller::command::main(helix_controller::serve::Hooks::default())
}
