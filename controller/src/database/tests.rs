//! The private Postgres with real server programs; said aloud and skipped where there are none.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};

use super::*;

/// Whether the programs are there; says so when not.
fn can_run() -> bool {
    match binaries::find(Path::new("/nonexistent")) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            false
        }
    }
}

fn config(data_dir: &Path) -> Config {
    let mut config = Config { data_dir: data_dir.to_owned(), ..Config::default() };
    config.database.connections = 4;
    config
}

async fn open(data_dir: &Path) -> Database {
    Database::open(&config(data_dir), data_dir).await.unwrap_or_else(|error| panic!("{}", crate::chain::Chain(&error)))
}

async fn write(database: &Database, what: &str) {
    sqlx::query("create table if not exists kept (what text)").execute(&database.pool).await.unwrap();
    sqlx::query("insert into kept values ($1)").bind(what).execute(&database.pool).await.unwrap();
}

async fn read(database: &Database) -> Vec<String> {
    sqlx::query_scalar("select what from kept order by 1").fetch_all(&database.pool).await.unwrap()
}

/// The folder as the kernel names it, for temporary folders may be links.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < limit, "waited a minute for: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_makes_the_database_and_a_restart_keeps_it() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    let first = open(&path).await;
    assert!(migrate::migrate(&first.pool).await.unwrap() > 0);
    write(&first, "one").await;
    first.close().await;
    assert_eq!(leftover::occupants(&path.join("postgres")), []);
    assert!(!path.join("postgres/postmaster.pid").exists(), "it was stopped in good order");
    let second = open(&path).await;
    assert_eq!(migrate::migrate(&second.pool).await.unwrap(), 0);
    assert_eq!(read(&second).await, ["one"]);
    second.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_listens_on_its_socket_only_runs_unprivileged_and_fsyncs() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    let database = open(&path).await;
    let setting = async |name: &str| -> String {
        sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&database.pool).await.unwrap()
    };
    assert_eq!(setting("listen_addresses").await, "");
    assert_eq!(setting("fsync").await, "on");
    let pid = database.embedded.as_ref().unwrap().pid().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(!uids.split_whitespace().skip(1).any(|uid| uid == "0"), "{uids}");
    database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_is_started_again_and_the_pool_heals() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    let database = open(&path).await;
    write(&database, "committed").await;
    let before = database.embedded.as_ref().unwrap().pid().unwrap();
    kill(before, Signal::SIGKILL).unwrap();
    until("another server", async || database.embedded.as_ref().unwrap().pid().is_some_and(|pid| pid != before)).await;
    until("an answer", async || sqlx::query("select 1").execute(&database.pool).await.is_ok()).await;
    assert_eq!(read(&database).await, ["committed"]);
    database.close().await;
    assert_eq!(leftover::occupants(&path.join("postgres")), []);
}

/// Not a test of its own: the process that the next test kills. It starts the database and waits for its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test, which kills it"]
async fn a_process_that_is_killed() {
    let data_dir = PathBuf::from(std::env::var_os("HELIX_TEST_DATA_DIR").unwrap());
    let database = open(&data_dir).await;
    write(&database, "committed").await;
    std::fs::write(data_dir.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_never_outlives_a_killed_helixd_and_the_next_start_just_works() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "database::tests::a_process_that_is_killed"])
        .env("HELIX_TEST_DATA_DIR", &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the child's database", async || path.join("ready").exists()).await;
    let pgdata = path.join("postgres");
    assert!(!leftover::occupants(&pgdata).is_empty());
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    until("the end of Postgres", async || leftover::occupants(&pgdata).is_empty()).await;
    let next = open(&path).await;
    assert_eq!(read(&next).await, ["committed"]);
    next.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leftover_server_is_stopped_and_a_stale_pid_file_with_a_strangers_pid_harms_nobody() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    let first = open(&path).await;
    write(&first, "committed").await;
    first.close().await;
    // As if helixd had died without the kernel's signal reaching its server: the next start finds it at work.
    let pgdata = path.join("postgres");
    let leftover = supervisor::Supervisor::start(supervisor::Server {
        program: binaries::find(&pgdata).unwrap().program("postgres"),
        folder: std::sync::Arc::new(cluster::open(&pgdata).unwrap()),
        pgdata: pgdata.clone(),
        account: account::find().unwrap(),
        connections: 20,
    })
    .unwrap();
    until("the leftover", async || pgdata.join(".s.PGSQL.5432").exists()).await;
    let second = open(&path).await;
    assert!(leftover.gave_up().is_some(), "the leftover has ended");
    assert_eq!(read(&second).await, ["committed"]);
    second.close().await;
    // A pid that was used again: this very process.
    std::fs::write(path.join("postgres/postmaster.pid"), format!("{}\n/x\n", std::process::id())).unwrap();
    let third = open(&path).await;
    assert_eq!(read(&third).await, ["committed"]);
    third.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_too_deep_for_a_sockets_name_works_all_the_same() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    let deep = path.join("d".repeat(60)).join("e".repeat(60));
    std::fs::create_dir_all(&deep).unwrap();
    let database = open(&deep).await;
    write(&database, "deep").await;
    let joined = Database::join(&config(&deep), &deep).await.unwrap();
    assert_eq!(read(&joined).await, ["deep"]);
    joined.close().await;
    database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_postgres_refuses_is_explained_with_its_own_words() {
    if !can_run() {
        return;
    }
    let (_folder, path) = folder();
    open(&path).await.close().await;
    std::fs::write(path.join("postgres/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    let error = Database::open(&config(&path), &path).await.unwrap_err();
    assert_eq!(error.code(), "postgres_start");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_database_of_a_newer_helix_is_refused_in_one_clear_line(db: PgPool) {
    sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'x', true, '', 0)")
        .execute(&db)
        .await
        .unwrap();
    let error = migrate::migrate(&db).await.unwrap_err();
    assert_eq!(error.code(), "database_newer");
    assert!(error.to_string().contains("schema 9999"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_of_the_site_is_used_and_left_running(db: PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&db).await.unwrap();
    let mut url = url::Url::parse(&std::env::var("DATABASE_URL").unwrap()).unwrap();
    url.set_path(&name);
    let mut config = config(Path::new("/nonexistent"));
    config.database.url = Some(url.to_string().into());
    let database = Database::open(&config, Path::new("/nonexistent")).await.unwrap();
    assert_eq!(migrate::migrate(&database.pool).await.unwrap(), 0);
    database.close().await;
    sqlx::query("select 1").execute(&db).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_named_without_its_password() {
    let mut config = config(Path::new("/nonexistent"));
    config.database.url = Some("postgres://helix:hunter2@127.0.0.1:1/helix".into());
    let error = Database::open(&config, Path::new("/nonexistent")).await.unwrap_err();
    let said = crate::chain::Chain(&error).to_string();
    assert!(said.contains("helix on 127.0.0.1") && !said.contains("hunter2"), "{said}");
}
