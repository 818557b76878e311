//! Choices of which a command line says each way by flags of its own: values that make sense only
//! together.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::operation::{self, Reading, With};

use super::values::{Numbers, parse_numbers};

/// What of an image is restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum What {
    /// The whole disk.
    #[default]
    Disk,
    /// Partitions, by their numbers.
    Partitions(Vec<u32>),
    /// One logical volume.
    Volume {
        /// `group/name`.
        name: String,
        /// The images of other disks that it lies on besides.
        with: Vec<String>,
    },
}

impl What {
    /// What is asked of a restore. With `search` the images of other disks that a volume needs are
    /// looked for unless they are named.
    pub fn request(&self, search: bool) -> operation::What {
        match self {
            Self::Disk => operation::What::Disk,
            Self::Partitions(numbers) => operation::What::Partitions(numbers.clone()),
            Self::Volume { name, with } => {
                let with = match with.is_empty() && search {
                    true => With::Searched,
                    false => With::Named(with.clone()),
                };
                operation::What::Volume { name: name.clone(), with }
            }
        }
    }
}

/// [`What`] as arguments.
#[derive(Args, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct WhatArgs {
    /// Partition numbers and ranges such as 1-3,5 to restore; the whole disk when absent.
    #[arg(long, value_name = "N,…", value_parser = parse_numbers)]
    partitions: Option<Numbers>,
    /// One logical volume to restore, as `show` lists it, to the start of DISK: a disk, a logical
    /// volume that is at least as large, or a file.
    #[arg(long, value_name = "GROUP/NAME", conflicts_with = "partitions")]
    volume: Option<String>,
    /// Image of another disk that the logical volume lies on besides; once for each.
    #[arg(long, value_name = "IMAGE", requires = "volume")]
    with: Vec<String>,
}

impl From<WhatArgs> for What {
    fn from(args: WhatArgs) -> Self {
        match (args.volume, args.partitions) {
            (Some(name), _) => Self::Volume { name, with: args.with },
            (None, Some(numbers)) => Self::Partitions(numbers),
            (None, None) => Self::Disk,
        }
    }
}

impl From<What> for WhatArgs {
    fn from(what: What) -> Self {
        match what {
            What::Disk => Self::default(),
            What::Partitions(numbers) => Self { partitions: Some(numbers), ..Self::default() },
            What::Volume { name, with } => Self { volume: Some(name), with, partitions: None },
        }
    }
}

/// [`Reading`] as arguments.
#[derive(Args, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReadingArgs {
    /// Take every byte, not only the blocks in use.
    #[arg(long)]
    whole: bool,
    /// Leave out what lies outside of all partitions, but for 64 MiB at the start of the disk and
    /// 1 MiB at both ends of every other such stretch. Without this it is read, which takes long on
    /// a large disk, and what is not zero is taken.
    #[arg(long, conflicts_with = "whole")]
    skip_unpartitioned: bool,
    /// Of an NTFS that was not closed (marked dirty, hibernated, or shut down by Fast Startup) take
    /// what its tables call used, instead of every byte. What Windows had not written to them yet
    /// is missing then; `chkdsk` mends the rest. Where the tables contradict its files, every byte
    /// is taken all the same.
    #[arg(long, conflicts_with = "whole")]
    trust_unclosed: bool,
}

impl From<ReadingArgs> for Reading {
    fn from(args: ReadingArgs) -> Self {
        let ReadingArgs { whole, skip_unpartitioned, trust_unclosed } = args;
        match whole {
            true => Self::Whole,
            false => Self::Used { skip_unpartitioned, trust_unclosed },
        }
    }
}

impl From<Reading> for ReadingArgs {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Whole => Self { whole: true, ..Self::default() },
            Reading::Used { skip_unpartitioned, trust_unclosed } => {
                Self { whole: false, skip_unpartitioned, trust_unclosed }
            }
        }
    }
}

/// Makes a choice be written, read and parsed as the arguments that tell it.
macro_rules! told_by {
    ($choice:ty, $args:ty) => {
        impl Serialize for $choice {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                <$args>::from(self.clone()).serialize(to)
            }
        }

        impl<'de> Deserialize<'de> for $choice {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <$args>::deserialize(from).map(Self::from)
            }
        }

        impl Args for $choice {
            fn augment_args(command: Command) -> Command {
                <$args>::augment_args(command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                <$args>::augment_args_for_update(command)
            }
        }

        impl FromArgMatches for $choice {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
                <$args>::from_arg_matches(matches).map(Self::from)
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

told_by!(What, WhatArgs);
told_by!(Reading, ReadingArgs);
