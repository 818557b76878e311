//! What is put on a target, and where it comes from.

use std::path::Path;

use crate::bytes::ReadAt;
use crate::image::manifest::Manifest;
use crate::image::marker::Marker;
use crate::transfer::Transfer;
use crate::volume::LogicalVolume;

/// What is put on a target.
pub(in crate::operation) struct Content<'a> {
    /// The disk that it is, or was.
    pub(in crate::operation) manifest: &'a Manifest,
    /// Its bytes.
    pub(in crate::operation) disk: &'a dyn ReadAt,
    /// The partitions that are wanted of it; `None` for all of it.
    pub(in crate::operation) partitions: Option<&'a [u32]>,
    /// The one logical volume that is wanted of it, and where its bytes are.
    pub(in crate::operation) volume: Option<(LogicalVolume, Vec<Transfer>)>,
    /// The folder of the images that it is taken from.
    pub(in crate::operation) images: Option<&'a Path>,
    /// The note that the target carries until all is written, but for what names the target.
    pub(in crate::operation) note: Marker,
    /// What a person should know of it.
    pub(in crate::operation) notices: Vec<String>,
}
