//! Requests to the kernel that have no other interface: ioctls on block devices and mounted file systems.
//!
//! All unsafe code of the crate's deploy mode stands here, each request behind a safe function. Numbers are from the kernel's
//! `include/uapi` (`linux/fs.h`, `linux/ext4.h`, `linux/btrfs.h`) and `xfs_fs.h`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

mod raw {
    /// `struct xfs_growfs_data`.
    #[repr(C)]
    pub(super) struct XfsGrow {
        pub(super) new_blocks: u64,
        pub(super) imaxpct: u32,
    }

    /// `struct xfs_fsop_geom_v1`: the fields that growing needs, then the rest.
    #[repr(C)]
    #[derive(Default)]
    pub(super) struct XfsGeometry {
        pub(super) block_bytes: u32,
        pub(super) rtextsize: u32,
        pub(super) agblocks: u32,
        pub(super) agcount: u32,
        pub(super) logblocks: u32,
        pub(super) sectsize: u32,
        pub(super) inodesize: u32,
        pub(super) imaxpct: u32,
        pub(super) data_blocks: u64,
        pub(super) rest: [u64; 9],
    }

    /// `struct btrfs_ioctl_vol_args`.
    #[repr(C)]
    pub(super) struct BtrfsArguments {
        pub(super) fd: i64,
        pub(super) name: [u8; 4088],
    }

    nix::ioctl_none!(blkrrpart, 0x12, 95);
    nix::ioctl_none!(blkflsbuf, 0x12, 97);
    nix::ioctl_write_ptr_bad!(blkdiscard, nix::request_code_none!(0x12, 119), [u64; 2]);
    nix::ioctl_write_ptr!(ext4_resize, b'f', 16, u64);
    nix::ioctl_read!(xfs_geometry, b'X', 100, XfsGeometry);
    nix::ioctl_write_ptr!(xfs_grow, b'X', 110, XfsGrow);
    nix::ioctl_write_ptr!(btrfs_resize, 0x94, 3, BtrfsArguments);
    nix::ioctl_read!(get_flags, b'f', 1, libc::c_long);
    nix::ioctl_write_ptr!(set_flags, b'f', 2, libc::c_long);
}

/// `FS_IMMUTABLE_FL`: efivarfs sets it on variables that firmware may need.
const IMMUTABLE: libc::c_long = 0x10;

/// Has the kernel read the partition table again.
///
/// # Errors
/// `EBUSY` while a partition is in use, `ENOTTY` on a plain file.
#[expect(unsafe_code, reason = "ioctl without argument on an open file")]
pub fn reread_partitions(disk: &File) -> io::Result<()> {
    unsafe { raw::blkrrpart(disk.as_raw_fd()) }.map(drop).map_err(io::Error::from)
}

/// Drops the kernel's cached pages of a block device.
///
/// # Errors
/// `ENOTTY` on a plain file.
#[expect(unsafe_code, reason = "ioctl without argument on an open file")]
pub fn drop_cache(disk: &File) -> io::Result<()> {
    unsafe { raw::blkflsbuf(disk.as_raw_fd()) }.map(drop).map_err(io::Error::from)
}

/// Tells the drive that these bytes are not needed.
///
/// # Errors
/// `EOPNOTSUPP` when the drive cannot, `ENOTTY` on a plain file.
#[expect(unsafe_code, reason = "the kernel reads two numbers from the array")]
pub fn discard(disk: &File, start: u64, length: u64) -> io::Result<()> {
    let range = [start, length];
    unsafe { raw::blkdiscard(disk.as_raw_fd(), &range) }.map(drop).map_err(io::Error::from)
}

/// Grows a mounted ext4 file system to this many blocks.
///
/// # Errors
/// What the file system answers.
#[expect(unsafe_code, reason = "the kernel reads one number")]
pub fn grow_ext4(mounted: &File, blocks: u64) -> io::Result<()> {
    unsafe { raw::ext4_resize(mounted.as_raw_fd(), &blocks) }.map(drop).map_err(io::Error::from)
}

/// Grows a mounted XFS file system to fill `size_bytes`.
///
/// # Errors
/// What the file system answers.
#[expect(unsafe_code, reason = "the kernel fills and reads the structures declared above")]
pub fn grow_xfs(mounted: &File, size_bytes: u64) -> io::Result<()> {
    let mut geometry = raw::XfsGeometry::default();
    unsafe { raw::xfs_geometry(mounted.as_raw_fd(), &mut geometry) }?;
    let new_blocks = size_bytes / u64::from(geometry.block_bytes.max(512));
    if new_blocks <= geometry.data_blocks {
        return Ok(());
    }
    let grow = raw::XfsGrow { new_blocks, imaxpct: geometry.imaxpct };
    unsafe { raw::xfs_grow(mounted.as_raw_fd(), &grow) }.map(drop).map_err(io::Error::from)
}

/// Grows a mounted btrfs file system to its device.
///
/// # Errors
/// What the file system answers.
#[expect(unsafe_code, reason = "the kernel reads the structure declared above")]
pub fn grow_btrfs(mounted: &File) -> io::Result<()> {
    let mut arguments = raw::BtrfsArguments { fd: 0, name: [0; 4088] };
    arguments.name[..3].copy_from_slice(b"max");
    unsafe { raw::btrfs_resize(mounted.as_raw_fd(), &arguments) }.map(drop).map_err(io::Error::from)
}

/// Takes the immutable flag off a file, so that it can be changed or removed.
///
/// # Errors
/// `ENOTTY` where the file system has no such flags.
#[expect(unsafe_code, reason = "the kernel fills and reads one number")]
pub fn make_mutable(file: &File) -> io::Result<()> {
    let mut flags: libc::c_long = 0;
    unsafe { raw::get_flags(file.as_raw_fd(), &mut flags) }?;
    if flags & IMMUTABLE != 0 {
        flags &= !IMMUTABLE;
        unsafe { raw::set_flags(file.as_raw_fd(), &flags) }?;
    }
    Ok(())
}
