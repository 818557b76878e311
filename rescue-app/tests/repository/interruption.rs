//! Captures that are given up leave nothing in the way and are continued.

use lifeboat::repository::{BlobType, PackWriter};

use crate::fixture::{CHUNK, disk, init, open, save_counted};
use crate::stock_restic::Restic;

#[test]
fn what_an_abandoned_capture_stored_is_used_by_the_next() {
    let restic = Restic::new();
    let repo = init(&restic);
    let image = disk(12, 30_000_000);
    let stored = {
        let lock = repo.lock_shared().unwrap();
        let pack_writer = PackWriter::new(&repo, &lock).unwrap();
        let mut worker = pack_writer.blob_writer().unwrap();
        for chunk in image.chunks(CHUNK) {
            worker.save(BlobType::Data, None, chunk, 1).unwrap();
        }
        worker.finish().unwrap();
        pack_writer.totals().new_bytes
    };
    restic.check();
    let repo = open(&restic);
    let (_, totals) = save_counted(&repo, &image);
    assert_eq!((totals.packs, totals.new_blobs), (1, 2), "only the two directories are new");
    assert!(totals.known_bytes >= stored);
    restic.check();
}
