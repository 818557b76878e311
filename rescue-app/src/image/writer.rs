//! An image as it is stored: a directory with the disk and its manifest, and the snapshot that names it.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::repository::{
    BlobType, BlobWriter, Id, IdHasher, Node, PackWriter, RepositoryError, Snapshot, Summary,
    Totals, Tree,
};

use super::ImageError;
use super::content::{ChunkSlot, ContentEntry, entries};
use super::manifest::Manifest;
use super::stored::{DISK_FILE, MANIFEST_FILE};

/// Size of the pieces the manifest is stored in, bytes.
const MANIFEST_CHUNK: usize = 1 << 20;

/// Zeros for the hasher, few enough to stay in the processor's cache.
const ZEROS: &[u8] = &[0; 16 << 10];

/// Stores `/<disk>/disk.img` and `/<disk>/manifest.json`; returns the root tree.
///
/// # Errors
/// When the repository cannot be written.
pub fn save_tree(
    pack_writer: &PackWriter<'_>,
    (folder_name, manifest): (&str, &Manifest),
    slots: Vec<ChunkSlot>,
    zstd_level: i32,
) -> Result<Id, ImageError> {
    let mut writer = pack_writer.blob_writer()?;
    let disk_content = disk_content(&mut writer, &slots)?;
    drop(slots);
    let json = manifest.to_json()?;
    let mut manifest_content = Vec::new();
    for piece in json.chunks(MANIFEST_CHUNK) {
        manifest_content.push(writer.save(BlobType::Data, None, piece, zstd_level)?.id);
    }
    // One time for all images: an unchanged disk is then an unchanged tree.
    let time = OffsetDateTime::UNIX_EPOCH;
    let files = vec![
        Node::file(DISK_FILE, manifest.disk.size, disk_content, time),
        Node::file(MANIFEST_FILE, json.len() as u64, manifest_content, time),
    ];
    let folder = writer.save_tree(&Tree::new(files)?)?;
    let folder = Node::dir(folder_name, folder, time);
    let root = writer.save_tree(&Tree::new(vec![folder])?)?;
    writer.finish()?;
    Ok(root)
}

fn disk_content(writer: &mut BlobWriter, slots: &[ChunkSlot]) -> Result<Vec<Id>, RepositoryError> {
    let blanks = save_blanks(writer, slots)?;
    let mut content = Vec::with_capacity(slots.len());
    entries(slots, |entry| {
        let blank = |len| blanks.get(&len).copied();
        content.push(match entry {
            ContentEntry::Blob(id) => id,
            ContentEntry::Zeros(len) => {
                blank(len).ok_or(RepositoryError::Internal("zeros without a blob"))?
            }
        });
        Ok::<_, RepositoryError>(())
    })?;
    Ok(content)
}

/// Stores the blobs that the zeros of the disk consist of, by their lengths.
fn save_blanks(
    writer: &mut BlobWriter,
    slots: &[ChunkSlot],
) -> Result<BTreeMap<u64, Id>, RepositoryError> {
    let mut blanks = BTreeMap::new();
    entries(slots, |entry| {
        if let ContentEntry::Zeros(len) = entry {
            blanks.insert(len, Id::of(&[]));
        }
        Ok::<_, RepositoryError>(())
    })?;
    // Each is the start of the next one, so that only the longest is hashed.
    let (mut hasher, mut hashed) = (IdHasher::default(), 0);
    for (&len, id) in &mut blanks {
        while hashed < len {
            let step = ZEROS.len().min(usize::try_from(len - hashed).unwrap_or(usize::MAX));
            hasher.update(&ZEROS[..step]);
            hashed += step as u64;
        }
        let blank = vec![0; usize::try_from(len).unwrap_or_default()];
        let sum = hasher.clone().finish();
        *id = writer.save(BlobType::Data, Some(sum), &blank, 1)?.id;
    }
    Ok(blanks)
}

/// The snapshot of an image whose tree is stored, captured since `started`.
///
/// The host name is the same on every machine: images of one disk belong together wherever it
/// was plugged in, and its folder tells disks apart.
pub fn snapshot(
    (folder, manifest): (&str, &Manifest),
    tags: Vec<String>,
    tree: Id,
    totals: &Totals,
    started: OffsetDateTime,
) -> Snapshot {
    let time = OffsetDateTime::now_utc();
    Snapshot {
        time,
        parent: None,
        tree,
        paths: vec![format!("/{folder}")],
        hostname: "lifeboat".to_owned(),
        username: String::new(),
        uid: 0,
        gid: 0,
        tags,
        original: None,
        program_version: manifest.tool.clone(),
        summary: Some(Summary {
            backup_start: started,
            backup_end: time,
            files_new: 2,
            files_changed: 0,
            files_unmodified: 0,
            dirs_new: 1,
            dirs_changed: 0,
            dirs_unmodified: 0,
            data_blobs: i64::try_from(totals.new_blobs).unwrap_or(i64::MAX),
            tree_blobs: 2,
            data_added: totals.new_bytes,
            data_added_packed: totals.stored_bytes,
            total_files_processed: 2,
            total_bytes_processed: manifest.disk.size,
        }),
    }
}
