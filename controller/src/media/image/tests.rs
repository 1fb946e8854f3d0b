//! Importing, as an admin sees it: what is kept, what is refused and in which words, and what stays behind.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use helix_api::deploy::Compression;
use helix_api::image::Image;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::{ImageError, NewImage, clear_leftovers, delete, fetch, from_file, list, show, upload};
use crate::app::App;
use crate::app::testing::{TestApp, app};
use crate::media::fixture::{self, Disk};

fn new(name: &str) -> NewImage {
    NewImage { name: name.into(), source: format!("{name}.img"), expected_sha256: None, created_by: "admin".into() }
}

fn body(bytes: &[u8]) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    let pieces: Vec<_> = bytes.chunks(1 << 20).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// Uploads and waits until the import has ended.
async fn import(app: &Arc<App>, new: NewImage, bytes: &[u8]) -> Image {
    let name = new.name.clone();
    let begun = upload(app, new, Some(bytes.len() as u64), body(bytes)).await.unwrap();
    assert!(["importing", "ready", "failed"].contains(&begun.state.as_str()));
    ended(app, &name).await
}

async fn ended(app: &Arc<App>, name: &str) -> Image {
    app.tasks.close();
    app.tasks.wait().await;
    app.tasks.reopen();
    show(&app.db, name).await.unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Files in the store and in the work folder.
fn left(test: &TestApp) -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["images", "import"] {
        for entry in std::fs::read_dir(test.folder.path().join(folder)).unwrap() {
            names.push(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    names
}

async fn stored(app: &App, image: &Image) -> Vec<u8> {
    let row = {
        let mut conn = app.db.acquire().await.unwrap();
        crate::store::images::find(&mut conn, &image.name).await.unwrap().unwrap()
    };
    let pieces: Vec<Bytes> = {
        use futures::TryStreamExt as _;
        app.images
            .read(&row.object_key.unwrap(), 0..image.size_bytes.unwrap())
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap()
    };
    pieces.concat()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_raw_image_is_looked_into_packed_and_kept(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let image = import(&test.app, new("debian-12"), &raw).await;
    assert_eq!(image.state, "ready", "{:?}", image.error_message);
    assert!(image.id.starts_with("im-"));
    assert_eq!(image.raw_sha256, Some(sha256(&raw)));
    assert_eq!(image.raw_size_bytes, Some(raw.len() as u64));
    assert_eq!(image.compression, Compression::Zstd);
    let file = stored(&test.app, &image).await;
    assert_eq!(image.sha256, Some(sha256(&file)));
    assert!(file.len() < raw.len() / 4, "mostly zeros: {} bytes", file.len());
    assert_eq!(zstd::decode_all(file.as_slice()).unwrap(), raw);
    let facts = image.facts;
    assert_eq!(facts.os_name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!((facts.os_id.as_deref(), facts.os_version.as_deref()), (Some("debian"), Some("12")));
    assert_eq!(facts.root_filesystem.as_deref(), Some("ext4"));
    assert_eq!(facts.cloud_init, Some(true));
    assert_eq!(facts.labels, ["helixroot", "ESP"]);
    assert!(facts.uuids.contains(&"7A1B-2C3D".to_owned()), "{:?}", facts.uuids);
    assert_eq!(left(&test).len(), 1, "one file in the store, nothing in the work folder: {:?}", left(&test));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_archive_is_kept_as_it_came_and_the_same_content_only_once(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&raw).unwrap();
    let gzip = gzip.finish().unwrap();
    let image = import(&test.app, new("first"), &gzip).await;
    assert_eq!((image.state.as_str(), image.compression), ("ready", Compression::Gzip));
    assert_eq!((image.sha256.clone(), image.raw_sha256), (Some(sha256(&gzip)), Some(sha256(&raw))));
    let again = import(&test.app, new("second"), &zstd::encode_all(raw.as_slice(), 1).unwrap()).await;
    assert_eq!((again.state.as_str(), again.sha256, again.compression), ("ready", image.sha256, Compression::Gzip));
    assert_eq!(left(&test).len(), 1, "kept once: {:?}", left(&test));
    delete(&test.app, "first").await.unwrap();
    let second = show(&test.app.db, "second").await.unwrap();
    assert_eq!(stored(&test.app, &second).await, gzip, "the other image still has its bytes");
    delete(&test.app, "second").await.unwrap();
    assert!(left(&test).is_empty(), "{:?}", left(&test));
    assert!(list(&test.app.db).await.unwrap().is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_qcow2_image_becomes_raw_also_from_inside_an_archive(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let (from, to) = (test.folder.path().join("raw"), test.folder.path().join("qcow2"));
    std::fs::write(&from, &raw).unwrap();
    let paths = [from.to_str().unwrap(), to.to_str().unwrap()];
    if !fixture::run("qemu-img", &["convert", "-f", "raw", "-O", "qcow2", paths[0], paths[1]]) {
        return;
    }
    let qcow2 = std::fs::read(&to).unwrap();
    let image = import(&test.app, new("plain"), &qcow2).await;
    assert_eq!((image.state.as_str(), image.raw_sha256), ("ready", Some(sha256(&raw))), "{:?}", image.error_message);
    let packed = zstd::encode_all(qcow2.as_slice(), 1).unwrap();
    let image = import(&test.app, new("packed"), &packed).await;
    assert_eq!((image.state.as_str(), image.raw_sha256), ("ready", Some(sha256(&raw))), "{:?}", image.error_message);
}

/// What a refused import leaves: words, and no file.
async fn refused(test: &TestApp, name: &str, bytes: &[u8], code: &str, words: &str) {
    let image = import(&test.app, new(name), bytes).await;
    assert_eq!(image.state, "failed", "{name}");
    assert_eq!(image.error_code.as_deref(), Some(code), "{:?}", image.error_message);
    let message = image.error_message.unwrap();
    assert!(message.contains(words), "{name}: {message}");
    assert!(left(test).is_empty(), "{name} left {:?}", left(test));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_node_could_not_boot_is_refused_with_what_is_missing(db: PgPool) {
    let test = app(db).await;
    let Some(good) = Disk::new().bytes() else { return };
    refused(&test, "no-table", &vec![7u8; 1 << 20], "image_no_gpt", "no GUID partition table").await;
    let no_esp = Disk { esp: false, ..Disk::new() }.bytes().unwrap();
    refused(&test, "no-esp", &no_esp, "image_no_esp", "EFI system partition").await;
    let bare =
        Disk { root: vec![("etc/os-release", "PRETTY_NAME=\"Bare 1\"\n".into())], ..Disk::new() }.bytes().unwrap();
    refused(&test, "no-cloud-init", &bare, "image_no_cloud_init", "Bare 1 in partition 1").await;
    let cut = &good[..good.len() / 2];
    refused(&test, "cut", cut, "image_truncated", "describes 20971520 bytes, and the image has 10485760").await;
    let packed = zstd::encode_all(good.as_slice(), 1).unwrap();
    refused(&test, "cut-zst", &packed[..packed.len() - 40], "image_truncated", "ends in the middle").await;
    let mut lvm = good.clone();
    lvm[6 << 20..(6 << 20) + 4096].fill(0);
    lvm[(6 << 20) + 512..(6 << 20) + 520].copy_from_slice(b"LABELONE");
    lvm[(6 << 20) + 536..(6 << 20) + 544].copy_from_slice(b"LVM2 001");
    refused(&test, "lvm", &lvm, "image_root_unsupported", "LVM").await;
    let mut damaged = good.clone();
    damaged[512 + 40] ^= 1;
    refused(&test, "damaged", &damaged, "image_unreadable", "checksum").await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_checksum_is_refused_with_both(db: PgPool) {
    let test = app(db).await;
    let bytes = vec![1u8; 1000];
    let expected = "ab".repeat(32);
    let wanted = NewImage { expected_sha256: Some(expected.clone()), ..new("wrong") };
    let error = upload(&test.app, wanted, None, body(&bytes)).await.unwrap_err();
    assert_eq!(error.code(), "image_checksum_mismatch");
    let words = error.problem().title;
    assert!(words.contains(&expected) && words.contains(&sha256(&bytes)), "{words}");
    let image = show(&test.app.db, "wrong").await.unwrap();
    assert_eq!((image.state.as_str(), image.error_code.as_deref()), ("failed", Some("image_checksum_mismatch")));
    assert!(left(&test).is_empty());
    let nonsense = NewImage { expected_sha256: Some("abc".into()), ..new("other") };
    assert!(matches!(upload(&test.app, nonsense, None, body(&bytes)).await, Err(ImageError::BadChecksum(_))));
}

#[sqlx::test(migrations = "../migrations")]
async fn an_upload_that_breaks_off_leaves_words_and_no_bytes(db: PgPool) {
    let test = app(db).await;
    let pieces = vec![Ok(Bytes::from(vec![0u8; 5000])), Err(std::io::Error::other("connection reset"))];
    let error = upload(&test.app, new("cut"), Some(9000), stream::iter(pieces)).await.unwrap_err();
    assert_eq!(error.code(), "image_truncated");
    assert!(error.in_words().contains("connection reset"), "{}", error.in_words());
    let short = upload(&test.app, new("short"), Some(9000), body(&[0u8; 100])).await.unwrap_err();
    assert!(short.in_words().contains("100 of 9000 bytes"), "{}", short.in_words());
    assert!(left(&test).is_empty());
    // The client goes away: the server drops the request in the middle.
    let endless = stream::pending::<Result<Bytes, std::io::Error>>();
    let app = Arc::clone(&test.app);
    let dropped = tokio::spawn(async move { upload(&app, new("gone"), None, endless).await });
    fixture::until("the upload to begin", async || show(&test.app.db, "gone").await.is_ok()).await;
    dropped.abort();
    fixture::until("the row to say so", async || show(&test.app.db, "gone").await.unwrap().state == "failed").await;
    assert!(left(&test).is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_client_that_goes_away_while_its_failure_is_noted_leaves_no_import_behind(db: PgPool) {
    let test = app(db).await;
    let (sender, body) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let app = Arc::clone(&test.app);
    let uploading = tokio::spawn(async move { upload(&app, new("gone"), None, body).await });
    fixture::until("the upload to begin", async || show(&test.app.db, "gone").await.is_ok()).await;
    // Every connection is taken, so that noting has to wait.
    let mut taken = Vec::new();
    for _ in 0..test.app.db.options().get_max_connections() {
        taken.push(test.app.db.acquire().await.unwrap());
    }
    sender.unbounded_send(Err(std::io::Error::other("connection reset"))).unwrap();
    fixture::until("the upload to hear of it", async || sender.is_empty()).await;
    uploading.abort();
    assert!(uploading.await.unwrap_err().is_cancelled());
    drop(taken);
    fixture::until("the row to say so", async || show(&test.app.db, "gone").await.unwrap().state == "failed").await;
    assert!(left(&test).is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_name_is_taken_by_an_image_and_free_again_after_a_failure(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let failed = import(&test.app, new("debian"), b"no image").await;
    assert_eq!(failed.state, "failed");
    assert_eq!(import(&test.app, new("debian"), &raw).await.state, "ready");
    let error = upload(&test.app, new("debian"), None, body(&raw)).await.unwrap_err();
    assert_eq!(error.code(), "image_name_taken");
    for name in ["", "Debian", "-x", "a/b", "ä"] {
        assert!(matches!(upload(&test.app, new(name), None, body(&raw)).await, Err(ImageError::BadName(_))), "{name}");
    }
    assert_eq!(left(&test).len(), 1, "{:?}", left(&test));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_crash_in_the_middle_leaves_nothing_after_the_next_start(db: PgPool) {
    let test = app(db).await;
    let app = &test.app;
    let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
    for (id, name, instance) in [(mine, "mine", app.instance), (other, "elsewhere", Uuid::now_v7())] {
        let progress = serde_json::json!({"what": "packing", "instance": instance, "at": app.clock.now()});
        sqlx::query(
            "insert into images (id, public_id, name, state, created_by, progress)
             values ($1, 'im-' || $2, $2, 'importing', 'admin', $3)",
        )
        .bind(id)
        .bind(name)
        .bind(progress)
        .execute(&app.db)
        .await
        .unwrap();
    }
    std::fs::create_dir_all(test.folder.path().join(format!("import/{mine}"))).unwrap();
    std::fs::write(test.folder.path().join(format!("import/{mine}/incoming")), b"half").unwrap();
    std::fs::write(test.folder.path().join(format!("images/{mine}.zst")), b"moved, not noted").unwrap();
    std::fs::write(test.folder.path().join(format!("images/{other}.zst")), b"of another controller").unwrap();
    std::fs::write(test.folder.path().join("images/notes.txt"), b"an admin's own").unwrap();
    clear_leftovers(app).await.unwrap();
    let image = show(&app.db, "mine").await.unwrap();
    assert_eq!((image.state.as_str(), image.error_code.as_deref()), ("failed", Some("image_import_interrupted")));
    assert_eq!(show(&app.db, "elsewhere").await.unwrap().state, "importing", "another controller is at work on it");
    let mut names = left(&test);
    names.sort();
    assert_eq!(names, [format!("images/{other}.zst"), "images/notes.txt".to_owned()]);
}

#[sqlx::test(migrations = "../migrations")]
async fn deleting_an_import_under_way_stops_it(db: PgPool) {
    let test = app(db).await;
    let app = Arc::clone(&test.app);
    let endless = stream::pending::<Result<Bytes, std::io::Error>>();
    let running = tokio::spawn(async move { upload(&app, new("slow"), None, endless).await });
    fixture::until("the upload to begin", async || show(&test.app.db, "slow").await.is_ok()).await;
    delete(&test.app, "slow").await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), running).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().code(), "image_import_stopped");
    assert!(left(&test).is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn an_image_that_a_workflow_writes_cannot_be_deleted(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let image = import(&test.app, new("debian"), &raw).await;
    let rows = fixture::rows(&test.app.db, "HLX0001").await;
    let plan = serde_json::json!({"spec": {"image": "debian", "image_sha256": image.sha256}});
    sqlx::query("update workflows set plan = $2 where id = $1")
        .bind(rows.workflow)
        .bind(plan)
        .execute(&test.app.db)
        .await
        .unwrap();
    assert_eq!(show(&test.app.db, &image.id).await.unwrap().used_by_workflows, 1);
    let error = delete(&test.app, "debian").await.unwrap_err();
    assert_eq!((error.code(), error.status()), ("image_in_use", 409));
    sqlx::query("update workflows set state = 'succeeded' where id = $1")
        .bind(rows.workflow)
        .execute(&test.app.db)
        .await
        .unwrap();
    delete(&test.app, "debian").await.unwrap();
    assert_eq!(delete(&test.app, "debian").await.unwrap_err().code(), "image_not_found");
}

/// A server that announces the whole file and hangs up in the middle.
async fn half_a_file(file: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", file.len()).into_bytes();
    answer.extend_from_slice(&file[..file.len() / 2]);
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0u8; 4096];
        assert!(connection.read(&mut request).await.unwrap() > 0);
        connection.write_all(&answer).await.unwrap();
        connection.shutdown().await.unwrap();
    });
    address
}

#[sqlx::test(migrations = "../migrations")]
async fn an_image_is_fetched_from_a_url(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let packed = zstd::encode_all(raw.as_slice(), 1).unwrap();
    let whole = packed.clone();
    let router = axum::Router::new().route("/good.zst", axum::routing::get(async move || whole));
    fixture::http();
    let server = fixture::serve(router).await;
    let broken = half_a_file(&packed).await;
    fetch(&test.app, new("good"), &format!("http://admin:secret@{server}/good.zst?key=secret")).await.unwrap();
    let image = ended(&test.app, "good").await;
    assert_eq!(image.source, Some(format!("http://{server}/good.zst")), "without what may be a password");
    assert_eq!((image.state.as_str(), image.sha256), ("ready", Some(sha256(&packed))), "{:?}", image.error_message);
    fetch(&test.app, new("missing"), &format!("http://{server}/missing")).await.unwrap();
    let image = ended(&test.app, "missing").await;
    assert_eq!(image.error_code.as_deref(), Some("image_fetch_failed"));
    assert!(image.error_message.unwrap().contains("answered 404"));
    fetch(&test.app, new("broken"), &format!("http://{broken}/broken.zst")).await.unwrap();
    let image = ended(&test.app, "broken").await;
    assert_eq!(image.error_code.as_deref(), Some("image_truncated"), "{:?}", image.error_message);
    for url in ["file:///etc/passwd", "debian.img", "ftp://x/y"] {
        assert!(matches!(fetch(&test.app, new("x"), url).await, Err(ImageError::BadUrl(_))), "{url}");
    }
    assert_eq!(left(&test).len(), 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_file_of_this_machine_is_imported_and_stays(db: PgPool) {
    let test = app(db).await;
    let Some(raw) = Disk::new().bytes() else { return };
    let path = test.folder.path().join("debian.img");
    std::fs::write(&path, &raw).unwrap();
    from_file(&test.app, new("debian"), &path).await.unwrap();
    assert_eq!(ended(&test.app, "debian").await.state, "ready");
    assert!(path.exists());
}

#[sqlx::test(migrations = "../migrations")]
async fn cloud_init_is_found_in_large_directories_and_behind_links(db: PgPool) {
    let test = app(db).await;
    // 900 entries make an indexed directory of several blocks; the last one written is what is looked for.
    let mut crowd: Vec<(&'static str, String)> = Vec::new();
    for number in 0..900 {
        let name: &'static str =
            Box::leak(format!("usr/local/bin/a-program-with-a-long-name-{number:04}").into_boxed_str());
        crowd.push((name, String::new()));
    }
    crowd.push(("usr/local/bin/cloud-init", "#!/bin/sh\n".into()));
    crowd.push(("usr/bin", "->/usr/./local/../local/bin".into()));
    for filesystem in ["ext4", "ext2"] {
        let Some(raw) = (Disk { root: crowd.clone(), filesystem, esp: true }).bytes() else { return };
        let image = import(&test.app, new(filesystem), &raw).await;
        assert_eq!(image.facts.cloud_init, Some(true), "{filesystem}: {:?}", image.error_message);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_image_that_demo_and_tests_deploy_is_taken(db: PgPool) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/media/debian-12.raw.zst");
    if !path.exists() {
        eprintln!("SKIPPED: {} is not built yet (tests/images/build.sh)", path.display());
        return;
    }
    let described: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.with_file_name("debian-12.json")).unwrap()).unwrap();
    let test = app(db).await;
    from_file(&test.app, new("debian-12"), &path).await.unwrap();
    let image = ended(&test.app, "debian-12").await;
    assert_eq!(image.state, "ready", "{:?}", image.error_message);
    assert_eq!(image.sha256.as_deref(), described["sha256"].as_str(), "kept as it came");
    assert_eq!(image.raw_sha256.as_deref(), described["raw_sha256"].as_str());
    assert_eq!(image.raw_size_bytes, described["raw_size_bytes"].as_u64());
    assert_eq!(
        (image.facts.cloud_init, image.facts.os_id.as_deref()),
        (Some(true), Some("debian")),
        "{:?}",
        image.facts
    );
}
