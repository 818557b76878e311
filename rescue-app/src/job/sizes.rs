//! Sizes of partitions on a disk that is overwritten.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::bytes::os_text;
use crate::layout::{Mode, Wishes};

use super::values::{parse_number, parse_size};

/// What partitions become on a disk of another size.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SizeArgs {
    /// What becomes of the partitions on a disk of another size: `keep` their sizes, or `fit` them to
    /// it, by which the largest one whose filesystem can grow takes what a larger disk has more.
    /// Without this they are fitted, on a larger disk only where it is one by more than a
    /// thirty-second and tools for that are installed.
    #[arg(long, value_name = "HOW", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Mode>,
    /// Size of a partition, such as `3=40G`; once for each, or several with commas.
    #[arg(long, value_name = "N=SIZE", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub size_of: Vec<SizeOf>,
    /// Numbers of partitions that take what room is left.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse_number)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grow: Vec<u32>,
    /// Numbers of the partitions that may become smaller, and no others.
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse_number)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shrink: Vec<u32>,
    /// Folder for what has no place in memory while filesystems are made smaller; without this the
    /// folder of the images, or that for temporary files. A clone of a packed disk is unpacked there.
    #[arg(long, value_name = "DIR")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "os_text::option")]
    pub scratch: Option<PathBuf>,
}

impl SizeArgs {
    /// What is asked of the layout.
    pub fn wishes(&self) -> Wishes {
        Wishes {
            mode: self.layout,
            sizes: self.size_of.iter().map(|wish| (wish.number, wish.size)).collect(),
            grow: self.grow.clone(),
            shrink: self.shrink.clone(),
        }
    }
}

/// The size that is wished for a partition; written `3=42949672960`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SizeOf {
    /// Number of the partition.
    pub number: u32,
    /// Bytes.
    pub size: u64,
}

impl fmt::Display for SizeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.number, self.size)
    }
}

impl From<SizeOf> for String {
    fn from(wish: SizeOf) -> Self {
        wish.to_string()
    }
}

impl FromStr for SizeOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, size) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not a partition and its size, such as 3=40G"))?;
        Ok(Self { number: parse_number(number)?, size: parse_size(size)? })
    }
}

impl TryFrom<String> for SizeOf {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
