//! Images that are not what they should be: refused at import, with which part is missing, and nothing left behind.

use std::io::Write;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_that_could_not_boot_are_refused_at_import_in_words() -> anyhow::Result<()> {
    let site = Site::start(&["R660"]).await?;
    let blank = site.path("blank.raw");
    std::fs::File::create(&blank)?.set_len(64 << 20)?;
    let blank = blank.display().to_string();
    let said = site.ctl.run(&["image", "import", &blank, "--name", "blank", "-o", "json"])?;
    assert_ne!(said.code, 0);
    assert!(said.stderr.contains("\"image_no_gpt\""), "{}", said.stderr);

    let wrong = "00".repeat(32);
    let said = site.ctl.run(&["image", "import", &blank, "--name", "mismatch", "--sha256", &wrong, "-o", "json"])?;
    assert!(said.stderr.contains("\"image_checksum_mismatch\""), "{}", said.stderr);

    // A GPT without an EFI system partition.
    let no_esp = site.path("no-esp.raw");
    std::fs::File::create(&no_esp)?.set_len(64 << 20)?;
    let mut sfdisk = std::process::Command::new("sfdisk")
        .args(["--quiet", "--label", "gpt"])
        .arg(&no_esp)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    sfdisk.stdin.take().expect("a pipe").write_all(b"type=L\n")?;
    assert!(sfdisk.wait()?.success());
    let no_esp = no_esp.display().to_string();
    let said = site.ctl.run(&["image", "import", &no_esp, "--name", "no-esp", "-o", "json"])?;
    assert!(said.stderr.contains("\"image_no_esp\""), "{}", said.stderr);
    assert!(said.stderr.contains("UEFI"), "{}", said.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_was_cut_short_is_refused() -> anyhow::Result<()> {
    let test = "an_image_that_was_cut_short_is_refused";
    let Some(media) = crate::site::media_or_skip(test) else { return Ok(()) };
    let site = Site::start(&["R660"]).await?;
    let whole = std::fs::read(&media.os_image)?;
    let cut = site.path("cut.raw.zst");
    std::fs::write(&cut, &whole[..whole.len() / 2])?;
    let cut = cut.display().to_string();
    let said = site.ctl.run(&["image", "import", &cut, "--name", "cut", "-o", "json"])?;
    assert_ne!(said.code, 0);
    assert!(said.stderr.contains("\"image_truncated\""), "{}", said.stderr);
    Ok(())
}
