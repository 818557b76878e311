//! From what a person chose to what the operation layer is asked for.

use crate::image::chunks::ChunkSize;
use crate::operation::{
    CaptureRequest, PrepareRequest, RepoAccess, RescueOptions, RestoreRequest, With,
};
use crate::tui::model::{CaptureOrder, Content, PrepareOrder, RestoreOrder};

/// A capture into `repo`.
pub(super) fn capture_request(order: &CaptureOrder, repo: RepoAccess) -> CaptureRequest {
    let map_file = order.map().map(|name| repo.location.join(name));
    CaptureRequest {
        disk: order.disk.path.clone(),
        sector_size: None,
        repo,
        partitions: order.partitions.clone(),
        compression: order.compression,
        chunk_size: ChunkSize::default(),
        whole: order.content == Content::All,
        skip_unpartitioned: order.content == Content::Partitioned,
        keys: order.keys.clone(),
        trusts_unclosed: order.trusts_tables(),
        rescue: RescueOptions { retries: order.retries, map_file },
        verify_all: false,
        in_memory: false,
        in_use: false,
    }
}

/// A restore out of `repo`.
pub(super) fn restore_request(order: &RestoreOrder, repo: RepoAccess) -> RestoreRequest {
    RestoreRequest {
        image: order.image.id.clone(),
        disk: order.disk.path.clone(),
        sector_size: None,
        size: None,
        repo,
        erase: Some(order.disk.erase.clone()),
        agreed: order.agreed.clone(),
        partitions: order.partitions.clone(),
        volume: order.volume.clone(),
        // Those that the plan found are named in the order; before that they are looked for.
        with: match order.volume {
            Some(_) if order.with.is_empty() => With::Searched,
            _ => With::Named(order.with.clone()),
        },
        only_changed: order.only_changed,
        verify_first: order.verify_first,
        read_back: order.read_back,
        mend_table: false,
    }
}

/// The preparation of a disk.
pub(super) fn prepare_request(order: &PrepareOrder) -> PrepareRequest {
    PrepareRequest {
        disk: order.disk.path.clone(),
        sector_size: None,
        erase: Some(order.disk.erase.clone()),
        agreed: order.agreed.clone(),
        filesystem: order.filesystem,
        label: Some(order.label.clone()),
    }
}
