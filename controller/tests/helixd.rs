//! `helixd` as an admin meets it: the real program, its exit codes, its words, what it leaves behind.
//!
//! Needs the server programs of Postgres; says so aloud and skips where there are none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a first start on a busy machine with a slow disk.
const LIMIT: Duration = Duration::from_secs(120);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "waited two minutes for: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn postgres_is_there() -> bool {
    let there = std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut entries| entries.next().is_some())
        || std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join("initdb").exists());
    if !there {
        eprintln!("SKIPPED: no Postgres is installed here");
    }
    there
}

/// A data folder of its own, and the program in it.
struct Site {
    _folder: tempfile::TempDir,
    data_dir: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().canonicalize().unwrap().join("data");
        Self { _folder: folder, data_dir }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_helixd"));
        for listener in ["api", "agents", "media"] {
            command.env(format!("HELIXD_{}__LISTEN", listener.to_uppercase()), "127.0.0.1:0");
        }
        command.env("HELIXD_DATABASE__CONNECTIONS", "8").env("HELIXD_TIME_SCALE", "60");
        command.args(arguments).arg("--data-dir").arg(&self.data_dir).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts `helixd serve` and waits until it listens.
    fn serve(&self) -> Running {
        drop(std::fs::remove_file(self.file("listeners.json")));
        let child = self.command(&["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Running { child, listeners: serde_json::Value::Null };
        until("helixd to listen", || {
            assert_eq!(running.child.try_wait().unwrap(), None, "helixd ended while it started");
            let Ok(text) = std::fs::read_to_string(self.file("listeners.json")) else { return false };
            running.listeners = serde_json::from_str(&text).unwrap();
            true
        });
        running
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }

    /// Processes of Postgres that work in this data folder.
    fn postgres(&self) -> Vec<String> {
        let ours = self.file("postgres");
        let mut pids = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder == ours) {
                pids.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        pids
    }
}

struct Running {
    child: Child,
    listeners: serde_json::Value,
}

impl Running {
    fn text(&self, key: &str) -> String {
        self.listeners[key].as_str().unwrap().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Tells it to stop, and gives back its exit code and what it said.
    fn stop(mut self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        let stderr = std::mem::take(&mut self.child.stderr).unwrap();
        let said = std::io::read_to_string(stderr).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only of use when a test failed; one that ended already cannot be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_first_start_prints_the_first_login_and_a_stop_leaves_nothing_running() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let running = site.serve();
    let api: SocketAddr = running.text("api").parse().unwrap();
    std::net::TcpStream::connect(api).unwrap();
    let password = std::fs::read_to_string(site.file("admin-password")).unwrap();
    for private in ["admin-password", "secret.key", "ca/ca.key", "ca/agents.key"] {
        assert_eq!(mode(&site.file(private)), 0o600, "{private}");
    }
    assert_eq!(mode(&site.data_dir), 0o700);
    assert!(!site.postgres().is_empty());
    let (code, said) = running.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("user admin, password {}", password.trim())), "{said}");
    assert_eq!(site.postgres(), [""; 0]);
    assert!(!site.file("listeners.json").exists());
    assert!(!site.file("postgres/postmaster.pid").exists(), "Postgres was stopped in good order");
    let (code, said) = site.serve().stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("first login"), "only the first start has one: {said}");
}

#[test]
fn a_killed_helixd_takes_postgres_along_and_the_next_start_is_the_same_controller() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let mut first = site.serve();
    let instance = std::fs::read(site.file("instance-id")).unwrap();
    let (pin, fingerprint) = (first.text("agents_key_sha256"), first.text("api_certificate_sha256"));
    first.signal(Signal::SIGKILL);
    assert_eq!(first.child.wait().unwrap().signal(), Some(9));
    until("Postgres to end", || site.postgres().is_empty());
    let second = site.serve();
    assert_eq!(std::fs::read(site.file("instance-id")).unwrap(), instance);
    assert_eq!(second.text("agents_key_sha256"), pin, "agents know the controller by it");
    assert_eq!(second.text("api_certificate_sha256"), fingerprint, "people compared it");
    assert_eq!(second.stop().0, Some(0));
}

#[test]
fn a_second_helixd_in_one_folder_is_refused_and_names_the_first() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let first = site.serve();
    let second = site.run(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    let said = said(&second);
    assert!(said.contains(&format!("in use by another helixd (pid {})", first.child.id())), "{said}");
    assert_eq!(first.stop().0, Some(0));
}

#[test]
fn a_password_is_reset_beside_a_running_helixd_and_without_one() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let running = site.serve();
    let beside = site.run(&["admin", "reset-password", "admin"]);
    assert!(beside.status.success(), "{}", said(&beside));
    assert!(String::from_utf8_lossy(&beside.stdout).starts_with("new password of admin: "));
    assert!(!site.file("admin-password").exists(), "the password in it works no more");
    assert_eq!(running.stop().0, Some(0));
    let without = site.run(&["admin", "reset-password", "admin"]);
    assert!(without.status.success(), "{}", said(&without));
    assert_ne!(beside.stdout, without.stdout);
    let nobody = site.run(&["admin", "reset-password", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("no user \"nobody\"; there are: admin"), "{}", said(&nobody));
    assert_eq!(site.postgres(), [""; 0]);
}

#[test]
fn a_stop_while_it_starts_is_a_stop() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let child = site.command(&["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let running = Running { child, listeners: serde_json::Value::Null };
    until("the start to begin", || site.file("secret.key").exists());
    let (code, said) = running.stop();
    assert_eq!(code, Some(0), "{said}");
    until("Postgres to end", || site.postgres().is_empty());
    assert_eq!(site.serve().stop().0, Some(0));
}

#[test]
fn a_wrong_configuration_ends_with_2_and_is_told_with_its_line() {
    let site = Site::new();
    std::fs::create_dir_all(&site.data_dir).unwrap();
    let file = site.file("helixd.toml");
    std::fs::write(&file, "[media]\nlisten = \"0.0.0.0:8080\"\nadvertize = \"10.0.0.1\"\n").unwrap();
    let output = site.run(&["check-config", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    assert!(
        said.contains("helixd.toml:3: there is no setting \"media.advertize\"; did you mean \"media.advertise\"?"),
        "{said}"
    );
}

#[test]
fn check_config_prints_what_is_in_force_and_where_it_comes_from() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let output = site.run(&["check-config", "--bmc", "127.20.0.9", "--set", "media.advertise=127.20.0.0/16=10.0.2.2"]);
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("api.listen = 127.0.0.1:0\n    from: HELIXD_API__LISTEN"), "{printed}");
    assert!(printed.contains("for the BMC 127.20.0.9: media http://10.0.2.2:0/media/…"), "{printed}");
    assert!(printed.contains("WARNING: media.agent_binary is not set"), "{printed}");
    assert!(!site.data_dir.exists(), "a check makes nothing");
}

#[test]
fn check_config_fails_on_what_would_keep_it_from_starting() {
    let site = Site::new();
    let output = site.run(&["check-config", "--set", "api.certificate=/nonexistent/site.pem"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("ERROR: api.certificate and api.certificate_key belong together"), "{printed}");
    assert!(said(&output).contains("begin with ERROR"), "{}", said(&output));
}

#[test]
fn migrate_prepares_the_database_once() {
    if !postgres_is_there() {
        return;
    }
    let site = Site::new();
    let first = site.run(&["migrate"]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(!String::from_utf8_lossy(&first.stdout).contains(": 0 steps"), "{first:?}");
    let second = site.run(&["migrate"]);
    assert!(String::from_utf8_lossy(&second.stdout).contains(": 0 steps applied"), "{second:?}");
    assert_eq!(site.postgres(), [""; 0]);
}

#[test]
fn a_taken_port_is_told_before_anything_is_started() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = site.command(&["serve"]).env("HELIXD_MEDIA__LISTEN", &address).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains(&format!("cannot listen on {address} for media (setting media.listen)")), "{said}");
    assert!(!site.file("postgres").exists());
}
