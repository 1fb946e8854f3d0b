//! qcow2 to raw, by `qemu-img`, which every distribution has and which understands every version of the format.
//!
//! A qcow2 file can name other files (a backing file, an external data file) that qemu-img would read on the
//! controller; such a file is refused before it is converted.

use std::io;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::ImageError;
use super::progress::Meter;
use super::unpack::MOST_RAW_BYTES;

const PROGRAM: &str = "qemu-img";

/// Converts `from` into the new raw file `to`.
///
/// # Errors
/// `image_needs_qemu_img` when it is not installed; `image_truncated` and `image_conversion_failed` with its words.
pub(crate) async fn to_raw(from: &Path, to: &Path, meter: &Meter) -> Result<(), ImageError> {
    meter.begin("checking qcow2", None);
    let info = run("read the file", &["info", "--output=json", "-f", "qcow2"], &[from]).await?;
    check_info(&info.stdout)?;
    meter.check()?;
    // Clusters beyond the end of the file read as zeros: only a check finds that the file was cut.
    let check = qemu_img(&["check", "-q", "-f", "qcow2"], &[from]).await?;
    // Exit 3 is leaked clusters (wasted room, nothing wrong), 63 a format that cannot be checked.
    if !matches!(check.status.code(), Some(0 | 3 | 63)) {
        return Err(ImageError::Truncated(format!("qemu-img finds the qcow2 file damaged: {}", said(&check))));
    }
    meter.check()?;
    meter.begin("converting qcow2", None);
    run("convert the file", &["convert", "-f", "qcow2", "-O", "raw"], &[from, to]).await?;
    Ok(())
}

fn check_info(json: &[u8]) -> Result<(), ImageError> {
    let info: serde_json::Value = serde_json::from_slice(json)
        .map_err(|error| ImageError::QemuImg { what: "describe the file", said: error.to_string() })?;
    if let Some(backing) = info.get("backing-filename").and_then(serde_json::Value::as_str) {
        return Err(ImageError::Unreadable(format!(
            "the qcow2 file is only the difference to another file ({backing}); flatten it first: \
             qemu-img convert -O qcow2 FILE FLAT"
        )));
    }
    if info.pointer("/format-specific/data/data-file").is_some() {
        return Err(ImageError::Unreadable("the qcow2 file keeps its data in another file".into()));
    }
    match info.get("virtual-size").and_then(serde_json::Value::as_u64) {
        Some(bytes) if bytes > MOST_RAW_BYTES => Err(ImageError::TooLarge { limit_bytes: MOST_RAW_BYTES }),
        Some(_) => Ok(()),
        None => Err(ImageError::QemuImg { what: "describe the file", said: "no virtual size".into() }),
    }
}

async fn run(what: &'static str, arguments: &[&str], files: &[&Path]) -> Result<Output, ImageError> {
    let output = qemu_img(arguments, files).await?;
    if output.status.success() { Ok(output) } else { Err(ImageError::QemuImg { what, said: said(&output) }) }
}

async fn qemu_img(arguments: &[&str], files: &[&Path]) -> Result<Output, ImageError> {
    let started = Command::new(PROGRAM)
        .args(arguments)
        .args(files)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .env("LC_ALL", "C")
        .output()
        .await;
    started.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ImageError::NoQemuImg,
        _ => ImageError::work("run", Path::new(PROGRAM), error),
    })
}

/// What the program said, in one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no reason");
    line.trim_start_matches("qemu-img: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qcow2_that_names_another_file_is_refused() {
        let backing = br#"{"virtual-size": 1024, "backing-filename": "/etc/shadow"}"#;
        let error = check_info(backing).unwrap_err();
        assert!(error.to_string().contains("/etc/shadow"), "{error}");
        let data =
            br#"{"virtual-size": 1024, "format-specific": {"data": {"data-file": "/var/lib/helix/secret.key"}}}"#;
        assert_eq!(check_info(data).unwrap_err().code(), "image_unreadable");
    }

    #[test]
    fn a_qcow2_of_two_terabytes_is_refused() {
        assert_eq!(check_info(br#"{"virtual-size": 2000000000000}"#).unwrap_err().code(), "image_too_large");
    }

    #[tokio::test]
    async fn a_qcow2_cut_in_the_middle_is_refused_and_a_whole_one_converted() {
        let folder = tempfile::tempdir().unwrap();
        let (raw, qcow2, back) = (folder.path().join("raw"), folder.path().join("qcow2"), folder.path().join("back"));
        let content: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&raw, &content).unwrap();
        match run("make a test file", &["convert", "-f", "raw", "-O", "qcow2"], &[&raw, &qcow2]).await {
            Err(ImageError::NoQemuImg) => {
                eprintln!("skipped: qemu-img is not installed");
                return;
            }
            other => other.unwrap(),
        };
        to_raw(&qcow2, &back, &Meter::new()).await.unwrap();
        assert_eq!(std::fs::read(&back).unwrap()[..content.len()], content);
        let whole = std::fs::read(&qcow2).unwrap();
        std::fs::write(&qcow2, &whole[..whole.len() / 2]).unwrap();
        let error = to_raw(&qcow2, &back, &Meter::new()).await.unwrap_err();
        assert!(["image_truncated", "image_conversion_failed"].contains(&error.code()), "{error}");
    }
}
