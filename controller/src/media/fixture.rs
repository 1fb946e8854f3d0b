//! What the tests of media and agents stand on: disk images made on the spot, and rows of a node and its workflow.

use std::path::Path;
use std::process::Command;

use sqlx::PgPool;
use uuid::Uuid;

use super::image::gpt_tests::{self, LINUX};

pub(crate) const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
const MIB: usize = 1 << 20;

/// A disk image with an ESP of 4 MiB and an ext4 root of 12 MiB that lies last and has number 1, as cloud images have it.
pub(crate) struct Disk {
    /// Files of the root file system: path and text; a text that begins with `->` is a link.
    pub(crate) root: Vec<(&'static str, String)>,
    pub(crate) filesystem: &'static str,
    pub(crate) esp: bool,
}

impl Disk {
    /// A root with cloud-init in it.
    pub(crate) fn new() -> Self {
        let os_release = "NAME=Test\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        Self {
            root: vec![
                ("usr/bin/cloud-init", "#!/usr/bin/python3\n".into()),
                ("usr/lib/os-release", os_release.into()),
                ("etc/os-release", "->../usr/lib/os-release".into()),
            ],
            filesystem: "ext4",
            esp: true,
        }
    }

    /// The image's bytes; `None`, said aloud, when the tools are not installed.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        for (path, text) in &self.root {
            let path = tree.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("->") {
                Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                None => std::fs::write(path, text).unwrap(),
            }
        }
        let root = file(&folder.path().join("root"), 12 * MIB);
        let esp = file(&folder.path().join("esp"), 4 * MIB);
        let tree = tree.to_str().unwrap();
        let label = ["-q", "-F", "-L", "helixroot", "-d", tree, "-t", self.filesystem, root.to_str().unwrap()];
        if !run("mke2fs", &label) || !run("mkfs.vfat", &["-n", "ESP", "-i", "7a1b2c3d", esp.to_str().unwrap()]) {
            return None;
        }
        let mut disk = vec![0u8; 20 * MIB];
        disk[MIB..5 * MIB].copy_from_slice(&std::fs::read(&esp).unwrap());
        disk[6 * MIB..18 * MIB].copy_from_slice(&std::fs::read(&root).unwrap());
        let sector = |bytes: usize| (bytes / 512) as u64;
        let esp_type = if self.esp { ESP } else { LINUX };
        let partitions =
            [(1, sector(6 * MIB), sector(18 * MIB) - 1, LINUX), (15, sector(MIB), sector(5 * MIB) - 1, esp_type)];
        gpt_tests::write(&mut disk, &partitions);
        Some(disk)
    }
}

fn file(path: &Path, size: usize) -> std::path::PathBuf {
    std::fs::File::create(path).unwrap().set_len(size as u64).unwrap();
    path.to_owned()
}

/// Runs a tool that makes fixtures; `false` when it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(program).args(arguments).env("PATH", path).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: {program} is not installed");
            false
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// A node and its provisioning workflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) node: Uuid,
    pub(crate) workflow: Uuid,
}

/// Adds a node with the service tag, and a workflow that waits.
pub(crate) async fn rows(db: &PgPool, service_tag: &str) -> Rows {
    let (bmc, node, workflow) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    sqlx::query("insert into bmcs (id, host, port) values ($1, $2, 443)")
        .bind(bmc)
        .bind(format!("{service_tag}.bmc.example"))
        .execute(db)
        .await
        .unwrap();
    sqlx::query(
        "insert into nodes (id, service_tag, name, bmc_id, state) values ($1, $2, lower($2), $3, 'provisioning')",
    )
    .bind(node)
    .bind(service_tag)
    .bind(bmc)
    .execute(db)
    .await
    .unwrap();
    sqlx::query(
        "insert into workflows (id, public_id, kind, node_id, mutating, plan, state, created_by, due_at)
         values ($1, 'wf-' || right($2, 6), 'provision', $3, true, '{}', 'waiting', 'admin', now() + interval '1 hour')",
    )
    .bind(workflow)
    .bind(format!("ABCDEF{service_tag}"))
    .bind(node)
    .execute(db)
    .await
    .unwrap();
    Rows { node, workflow }
}

/// Whether the workflow was woken, and puts it to sleep again.
pub(crate) async fn woken(db: &PgPool, workflow: Uuid) -> bool {
    let due: bool = sqlx::query_scalar("select due_at <= now() from workflows where id = $1")
        .bind(workflow)
        .fetch_one(db)
        .await
        .unwrap();
    sqlx::query("update workflows set due_at = now() + interval '1 hour' where id = $1")
        .bind(workflow)
        .execute(db)
        .await
        .unwrap();
    due
}

/// Events of a node as `severity code: message`, oldest first.
pub(crate) async fn events(db: &PgPool, node: Uuid) -> Vec<String> {
    sqlx::query_scalar(
        "select severity || ' ' || coalesce(code, '-') || ': ' || message from node_events where node_id = $1 order by id",
    )
    .bind(node)
    .fetch_all(db)
    .await
    .unwrap()
}

/// Serves a router on a loopback port of its own, until the test ends; gives `127.0.0.1:PORT`.
pub(crate) async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address.to_string()
}

/// An HTTP client.
pub(crate) fn http() -> reqwest::Client {
    // As every main does; another test may have been first.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::new()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        while !holds().await {
            tick.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "waited 30 s in vain for: {what}");
}
