//! Which formats there are, and what they can hold.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::packing::Packer;
use super::writer::{Shape, Writer};
use super::{qcow2, vdi, vhd, vhdx, vmdk};

/// How a file holds a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Byte by byte.
    #[default]
    Raw,
    /// QEMU's, compressed with zstd.
    Qcow2,
    /// Virtual PC's and Hyper-V's first, growing.
    Vhd,
    /// The same of full size: the plain disk, with a footer behind it.
    VhdFixed,
    /// Hyper-V's, growing.
    Vhdx,
    /// VMware's, growing.
    Vmdk,
    /// VMware's for transport, compressed.
    VmdkStream,
    /// VirtualBox's, growing.
    Vdi,
}

const GIB: u64 = 1 << 30;

impl Format {
    /// The format that the ending of a file's name stands for, in any case; `None` for all others.
    pub fn of_ending(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "qcow2" => Self::Qcow2,
            "vhd" => Self::Vhd,
            "vhdx" => Self::Vhdx,
            "vmdk" => Self::Vmdk,
            "vdi" => Self::Vdi,
            _ => return None,
        })
    }

    /// The largest disk that a file of it holds, and why, where that is less than files can be.
    pub fn limit(self) -> Option<(u64, &'static str)> {
        match self {
            Self::Raw | Self::Qcow2 => None,
            Self::Vhd | Self::VhdFixed => Some((2040 * GIB, "a VHD holds 2040 GiB at most")),
            Self::Vhdx => Some((64 << 40, "a VHDX holds 64 TiB at most")),
            Self::Vmdk | Self::VmdkStream => {
                Some((2047 * GIB, "a VMDK file holds 2 TiB at most, its tables included"))
            }
            Self::Vdi => Some((512 << 40, "a VDI holds 512 TiB at most")),
        }
    }

    /// Whether it tells how large the disk's sectors are.
    pub fn tells_sector_size(self) -> bool {
        self == Self::Vhdx
    }

    /// What it is called on the command line.
    pub fn argument(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What its name in QEMU's tools is.
    pub fn qemu_name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhd | Self::VhdFixed => "vpc",
            Self::Vhdx => "vhdx",
            Self::Vmdk | Self::VmdkStream => "vmdk",
            Self::Vdi => "vdi",
        }
    }

    /// Bytes of the blocks in which a disk of `size` bytes is written.
    pub fn block_size(self, size: u64) -> u64 {
        match self {
            Self::Raw | Self::Vhd | Self::VhdFixed => vhd::BLOCK,
            Self::Qcow2 => qcow2::CLUSTER,
            Self::Vhdx => vhdx::block_size(size),
            Self::Vmdk | Self::VmdkStream => vmdk::GRAIN,
            Self::Vdi => vdi::BLOCK,
        }
    }

    /// What packs its blocks; `None` where they are in the file as they are.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn packer(self) -> io::Result<Option<Packer>> {
        match self {
            Self::Qcow2 => Packer::zstd().map(Some),
            Self::VmdkStream => Ok(Some(Packer::grains())),
            _ => Ok(None),
        }
    }

    /// What lays a disk out in a file.
    ///
    /// # Errors
    /// For a disk that the format has no room for.
    pub fn writer(self, shape: &Shape) -> io::Result<Box<dyn Writer>> {
        Ok(match self {
            Self::Raw => Box::new(vhd::Plain { size: shape.size }),
            Self::Qcow2 => Box::new(qcow2::Layout::new(shape)?),
            Self::Vhd => Box::new(vhd::Dynamic::new(shape)?),
            Self::VhdFixed => Box::new(vhd::Fixed::new(shape)?),
            Self::Vhdx => Box::new(vhdx::Layout::new(shape)?),
            Self::Vmdk => Box::new(vmdk::Sparse::new(shape)?),
            Self::VmdkStream => Box::new(vmdk::Stream::new(shape)?),
            Self::Vdi => Box::new(vdi::Layout::new(shape)?),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "plain",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "VHD",
            Self::VhdFixed => "fixed VHD",
            Self::Vhdx => "VHDX",
            Self::Vmdk => "VMDK",
            Self::VmdkStream => "stream-optimised VMDK",
            Self::Vdi => "VDI",
        })
    }
}
