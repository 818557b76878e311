//! The ioctls of `linux/fs.h` and `linux/loop.h`, each behind a safe function over an
//! open file.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::Result;

/// Size of `struct loop_info64` (`include/uapi/linux/loop.h`) in words of 8 bytes; it begins with
/// `lo_device`, `lo_inode` and `lo_rdevice`.
const LOOP_INFO_WORDS: usize = 29;

mod raw {
    //! Request numbers as in `include/uapi/linux/fs.h`. Some of them were declared there with
    //! the size of a `size_t` or with none, and keep that encoding for good.

    nix::ioctl_read!(get_size_64, 0x12, 114, usize);
    nix::ioctl_read_bad!(get_logical_sector, nix::request_code_none!(0x12, 104), nix::libc::c_int);
    nix::ioctl_read_bad!(
        get_physical_sector,
        nix::request_code_none!(0x12, 123),
        nix::libc::c_uint
    );
    nix::ioctl_read_bad!(get_read_only, nix::request_code_none!(0x12, 94), nix::libc::c_int);
    nix::ioctl_write_ptr_bad!(set_read_only, nix::request_code_none!(0x12, 93), nix::libc::c_int);
    nix::ioctl_none_bad!(re_read_partitions, nix::request_code_none!(0x12, 95));
    nix::ioctl_none_bad!(flush_buffers, nix::request_code_none!(0x12, 97));
    nix::ioctl_write_ptr_bad!(discard, nix::request_code_none!(0x12, 119), [u64; 2]);
    nix::ioctl_read!(get_disk_sequence, 0x12, 128, u64);
    nix::ioctl_read!(get_inode_flags, b'f', 1, nix::libc::c_long);
    nix::ioctl_write_ptr!(set_inode_flags, b'f', 2, nix::libc::c_long);
    nix::ioctl_read!(get_file_flags, b'X', 31, super::FileFlags);
    nix::ioctl_write_ptr!(set_file_flags, b'X', 32, super::FileFlags);
    nix::ioctl_read_bad!(get_loop_status, 0x4c05, [u64; super::LOOP_INFO_WORDS]);
}

/// `BLKGETSIZE64`: size of a block device in bytes.
pub fn size(device: &File) -> Result<u64> {
    let mut bytes: u64 = 0;
    // SAFETY: the descriptor is open for the whole call; the kernel writes eight bytes (the
    // `size_t` in the request number is history, the value is a u64), which `bytes` has.
    unsafe { raw::get_size_64(device.as_raw_fd(), (&raw mut bytes).cast()) }?;
    Ok(bytes)
}

/// `BLKSSZGET`: logical sector size in bytes.
pub fn logical_sector(device: &File) -> Result<u32> {
    let mut bytes = 0;
    // SAFETY: the descriptor is open for the whole call; the kernel writes one int.
    unsafe { raw::get_logical_sector(device.as_raw_fd(), &raw mut bytes) }?;
    u32::try_from(bytes).map_err(|_| nix::errno::Errno::ERANGE)
}

/// `BLKPBSZGET`: physical sector size in bytes.
pub fn physical_sector(device: &File) -> Result<u32> {
    let mut bytes = 0;
    // SAFETY: the descriptor is open for the whole call; the kernel writes one unsigned int.
    unsafe { raw::get_physical_sector(device.as_raw_fd(), &raw mut bytes) }?;
    Ok(bytes)
}

/// `BLKROGET`: whether the kernel refuses to write to the device.
pub fn read_only(device: &File) -> Result<bool> {
    let mut flag = 0;
    // SAFETY: the descriptor is open for the whole call; the kernel writes one int.
    unsafe { raw::get_read_only(device.as_raw_fd(), &raw mut flag) }?;
    Ok(flag != 0)
}

/// `BLKROSET`: makes the kernel refuse, or no longer refuse, to write to the device. The device
/// need not be open for writing. Set on a disk it covers its partitions.
pub fn set_read_only(device: &File, read_only: bool) -> Result<()> {
    let flag = nix::libc::c_int::from(read_only);
    // SAFETY: the descriptor is open for the whole call; the kernel reads one int.
    unsafe { raw::set_read_only(device.as_raw_fd(), &raw const flag) }.map(drop)
}

/// `BLKRRPART`: makes the kernel read the partition table anew.
pub fn re_read_partitions(device: &File) -> Result<()> {
    // SAFETY: the descriptor is open for the whole call; there is no argument.
    unsafe { raw::re_read_partitions(device.as_raw_fd()) }.map(drop)
}

/// `BLKFLSBUF`: writes back and then forgets what the page cache holds of the device.
pub fn flush_buffers(device: &File) -> Result<()> {
    // SAFETY: the descriptor is open for the whole call; there is no argument.
    unsafe { raw::flush_buffers(device.as_raw_fd()) }.map(drop)
}

/// `BLKDISCARD`: tells the device that `len` bytes from `offset` hold nothing any more. What
/// they read as afterwards is not defined.
pub fn discard(device: &File, offset: u64, len: u64) -> Result<()> {
    let range = [offset, len];
    // SAFETY: the descriptor is open for the whole call; the kernel reads two u64.
    unsafe { raw::discard(device.as_raw_fd(), &raw const range) }.map(drop)
}

/// `BLKGETDISKSEQ`: the number of this medium in this device, counted up over all devices of the
/// running system: another card in the same reader, and another file behind the same loop device,
/// have another one. Linux 5.15 and later.
pub fn disk_sequence(device: &File) -> Result<u64> {
    let mut number = 0;
    // SAFETY: the descriptor is open for the whole call; the kernel writes one u64.
    unsafe { raw::get_disk_sequence(device.as_raw_fd(), &raw mut number) }?;
    Ok(number)
}

/// What a filesystem keeps of a file besides mode and times: `struct fsxattr`, whose fields are `fsx_xflags`,
/// `fsx_extsize`, `fsx_nextents`, `fsx_projid`, `fsx_cowextsize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FileFlags([u32; 7]);

impl FileFlags {
    /// `FS_XFLAG_IMMUTABLE` and `FS_XFLAG_APPEND`.
    const LOCKS: u32 = 0x8 | 0x10;
    /// `FS_XFLAG_REALTIME`, `FS_XFLAG_RTINHERIT` and `FS_XFLAG_FILESTREAM`: where content lies, which every
    /// filesystem decides by itself.
    const PLACES: u32 = 0x1 | 0x100 | 0x4000;

    /// The same for a file that is still to be changed.
    pub fn without_locks(self) -> Self {
        let [flags, rest @ ..] = self.0;
        let [a, b, c, d, e, f] = rest;
        Self([flags & !Self::LOCKS, a, b, c, d, e, f])
    }
}

/// `FS_IOC_FSGETXATTR`: flags, project and sizes of allocation of a file or folder, as far as another filesystem
/// can have them.
pub fn file_flags(file: &File) -> Result<FileFlags> {
    let mut flags = FileFlags::default();
    // SAFETY: the descriptor is open for the whole call; the kernel writes the 28 bytes of the struct.
    unsafe { raw::get_file_flags(file.as_raw_fd(), &raw mut flags) }?;
    let [of_file, ..] = &mut flags.0;
    *of_file &= !FileFlags::PLACES;
    Ok(flags)
}

/// `FS_IOC_FSSETXATTR`: the opposite of [`file_flags`].
pub fn set_file_flags(file: &File, flags: FileFlags) -> Result<()> {
    // SAFETY: the descriptor is open for the whole call; the kernel reads the 28 bytes of the struct.
    unsafe { raw::set_file_flags(file.as_raw_fd(), &raw const flags) }.map(drop)
}

/// `FS_IMMUTABLE_FL`.
const IMMUTABLE: nix::libc::c_int = 0x10;

/// `FS_IOC_SETFLAGS`: takes the mark of a file away that it cannot be changed.
pub fn make_changeable(file: &File) -> Result<()> {
    let mut flags: nix::libc::c_long = 0;
    // SAFETY: the descriptor is open for the whole call; the kernel writes one int (the `long` in the
    // request number is history), which `flags` has room for.
    unsafe { raw::get_inode_flags(file.as_raw_fd(), &raw mut flags) }?;
    flags &= !nix::libc::c_long::from(IMMUTABLE);
    // SAFETY: the descriptor is open for the whole call; the kernel reads one int.
    unsafe { raw::set_inode_flags(file.as_raw_fd(), &raw const flags) }.map(drop)
}

/// What the kernel tells of a loop device's file: the numbers that stat(2) tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopBacking {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// `st_rdev`: 0 for a plain file.
    pub rdevice: u64,
}

/// `LOOP_GET_STATUS64`: what a loop device stands on; `ENXIO` when it has no file.
pub fn loop_backing(device: &File) -> Result<LoopBacking> {
    let mut info = [0; LOOP_INFO_WORDS];
    // SAFETY: the descriptor is open for the whole call; the kernel writes one `loop_info64`, which
    // has the size of `info` and no other alignment.
    unsafe { raw::get_loop_status(device.as_raw_fd(), &raw mut info) }?;
    let [device, inode, rdevice, ..] = info;
    Ok(LoopBacking { device, inode, rdevice })
}
