//! The smallest thing that UEFI boots: a program of some 60 bytes that says a sentence on the serial port and then switches the
//! machine off or restarts it, wrapped as a file system for the disk and as an ISO for the drive.
//!
//! Written by hand because a kernel would cost seconds and a download. Relies on mkfs.vfat, mtools and xorriso.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program does after its sentence.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    PowerOff,
    Reset,
}

/// What is missing to make payloads; `None` when all is there.
pub(crate) fn unavailable() -> Option<String> {
    let missing: Vec<&str> = ["mkfs.vfat", "mmd", "mcopy", "xorriso"]
        .into_iter()
        .filter(|program| Command::new("which").arg(program).output().is_ok_and(|found| !found.status.success()))
        .collect();
    (!missing.is_empty()).then(|| format!("missing: {}", missing.join(", ")))
}

/// A FAT file system with the program as its default boot file: a disk that boots.
pub(crate) fn disk(folder: &Path, sentence: &str, then: Then) -> PathBuf {
    let (program, image) = (folder.join("BOOTX64.EFI"), folder.join("payload.img"));
    fs::write(&program, efi_program(sentence, then)).unwrap();
    drop(fs::remove_file(&image));
    run(Command::new("mkfs.vfat").args(["-C"]).arg(&image).arg("2880"));
    run(Command::new("mmd").arg("-i").arg(&image).args(["::/EFI", "::/EFI/BOOT"]));
    run(Command::new("mcopy").arg("-i").arg(&image).arg(&program).arg("::/EFI/BOOT/BOOTX64.EFI"));
    image
}

/// The same as an ISO with that file system as its UEFI boot image.
pub(crate) fn iso(folder: &Path, sentence: &str, then: Then) -> PathBuf {
    let tree = folder.join("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::rename(disk(folder, sentence, then), tree.join("efi.img")).unwrap();
    let iso = folder.join("payload.iso");
    let mut xorriso = Command::new("xorriso");
    xorriso.args(["-as", "mkisofs", "-quiet", "-e", "efi.img", "-no-emul-boot", "-o"]);
    run(xorriso.arg(&iso).arg(&tree));
    iso
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A PE32+ file with one section and no relocations.
fn efi_program(sentence: &str, then: Then) -> Vec<u8> {
    const HEADERS: u32 = 0x200;
    const SECTION: u32 = 0x1000;
    let mut file = Vec::new();
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    // DOS header: magic, and at 0x3c where the PE header is.
    put(b"MZ");
    put(&[0; 0x3a]);
    put(&0x40_u32.to_le_bytes());
    // PE header: x86-64, one section, no time, no symbols, 240 bytes of optional header, executable.
    put(b"PE\0\0");
    put(&0x8664_u16.to_le_bytes());
    put(&1_u16.to_le_bytes());
    put(&[0; 12]);
    put(&240_u16.to_le_bytes());
    put(&0x22_u16.to_le_bytes());
    // Optional header: PE32+, sizes, entry, base of code, image base, alignments.
    put(&0x20b_u16.to_le_bytes());
    put(&[0; 2]);
    for size in [HEADERS, 0, 0, SECTION, SECTION] {
        put(&size.to_le_bytes());
    }
    put(&0_u64.to_le_bytes());
    put(&SECTION.to_le_bytes());
    put(&HEADERS.to_le_bytes());
    put(&[0; 16]);
    // Size of image and headers, no checksum, subsystem 10: EFI application; stack and heap are the firmware's; 16 empty tables.
    for size in [SECTION * 2, HEADERS, 0] {
        put(&size.to_le_bytes());
    }
    put(&10_u16.to_le_bytes());
    put(&[0; 2 + 32 + 4]);
    put(&16_u32.to_le_bytes());
    put(&[0; 128]);
    // The section: code, to be read and executed.
    put(b".text\0\0\0");
    for size in [HEADERS, SECTION, HEADERS, HEADERS] {
        put(&size.to_le_bytes());
    }
    put(&[0; 12]);
    put(&0x6000_0020_u32.to_le_bytes());
    file.resize(HEADERS as usize, 0);
    file.extend(code(sentence, then));
    file.resize(HEADERS as usize * 2, 0);
    file
}

fn code(sentence: &str, then: Then) -> Vec<u8> {
    let end: &[u8] = match then {
        // mov dx, 0x604; mov ax, 0x2000; out dx, ax: ACPI "sleep state 5" of the ICH9 as OVMF places it.
        Then::PowerOff => &[0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef],
        // mov dx, 0xcf9; mov al, 6; out dx, al: the chipset's reset register.
        Then::Reset => &[0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee],
    };
    let print: &[u8] = &[
        0xac, // next: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x14, // jz end
        0x88, 0xc4, // mov ah, al
        0x66, 0xba, 0xfd, 0x03, // mov dx, 0x3fd
        0xec, // wait: in al, dx
        0xa8, 0x20, // test al, 0x20: may I send?
        0x74, 0xfb, // jz wait
        0x88, 0xe0, // mov al, ah
        0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xee, // out dx, al
        0xeb, 0xe7, // jmp next
    ];
    let rest = [print, end, &[0xeb, 0xfe]].concat();
    // lea rsi, [rip + rest]: the sentence stands behind the code.
    let distance = u32::try_from(rest.len()).unwrap();
    [&[0x48, 0x8d, 0x35][..], &distance.to_le_bytes(), &rest, sentence.as_bytes(), b"\r\n\0"].concat()
}
