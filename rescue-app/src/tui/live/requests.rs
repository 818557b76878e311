//! From what a person chose to what the operation layer is asked for.

use crate::image::chunks::ChunkSize;
use crate::operation::{
    CaptureRequest, CloneRequest, PrepareRequest, RepoAccess, RescueOptions, RestoreRequest,
    SourceRequest, TargetRequest, With,
};
use crate::tui::model::{CaptureOrder, Content, Disk, Image, PrepareOrder, WriteOrder};

/// A capture into `repo`.
pub(super) fn capture_request(order: &CaptureOrder, repo: RepoAccess) -> CaptureRequest {
    let map_file = order.map().map(|name| repo.location.join(name));
    CaptureRequest {
        source: SourceRequest {
            partitions: order.partitions.clone(),
            whole: order.content == Content::All,
            skip_unpartitioned: order.content == Content::Partitioned,
            keys: order.keys.clone(),
            trusts_unclosed: order.trusts_tables(),
            rescue: RescueOptions { retries: order.retries, map_file },
            ..SourceRequest::all_of(&order.disk.path)
        },
        repo,
        compression: order.compression,
        chunk_size: ChunkSize::default(),
        verify_all: false,
        in_memory: false,
    }
}

fn target_request(order: &WriteOrder) -> TargetRequest {
    TargetRequest {
        partitions: order.partitions.clone(),
        only_changed: order.only_changed,
        read_back: order.read_back,
        ..TargetRequest::all_of(&order.disk.path, &order.disk.erase)
    }
}

/// A clone of `source`.
pub(super) fn clone_request(order: &WriteOrder, source: &Disk) -> CloneRequest {
    CloneRequest {
        source: SourceRequest {
            partitions: order.partitions.clone(),
            ..SourceRequest::all_of(&source.path)
        },
        target: target_request(order),
    }
}

/// A restore of `image` out of `repo`.
pub(super) fn restore_request(
    order: &WriteOrder,
    image: &Image,
    repo: RepoAccess,
) -> RestoreRequest {
    RestoreRequest {
        image: image.id.clone(),
        repo,
        target: target_request(order),
        volume: order.volume.clone(),
        // Those that the plan found are named in the order; before that they are looked for.
        with: match order.volume {
            Some(_) if order.with.is_empty() => With::Searched,
            _ => With::Named(order.with.clone()),
        },
        verify_first: order.verify_first,
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
