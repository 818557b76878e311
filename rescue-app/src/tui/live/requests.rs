//! From what a person chose to what the operation layer is asked for.

use crate::operation::{
    CaptureRequest, CloneRequest, ImageSummary, Keys, PrepareRequest, RepoAccess, RestoreRequest,
    StickRequest, Survey,
};
use crate::tui::model::{CaptureOrder, PrepareOrder, StickOrder, WriteOrder};

/// A capture into `repo`.
pub(super) fn capture_request(order: &CaptureOrder, repo: RepoAccess) -> CaptureRequest {
    order.args.request(order.keys.clone(), repo)
}

/// A clone of `source`.
pub(super) fn clone_request(order: &WriteOrder, source: &Survey) -> CloneRequest {
    order.clone_args(source).request(Keys::new())
}

/// A restore of `image` out of `repo`. The images that a volume needs besides are looked for until the
/// plan has named them in the order.
pub(super) fn restore_request(
    order: &WriteOrder,
    image: &ImageSummary,
    repo: RepoAccess,
) -> RestoreRequest {
    RestoreRequest {
        image: image.id.clone(),
        repo,
        target: order.target.request(None, false),
        what: order.what.request(true),
        verify_first: order.verify_first,
    }
}

/// The preparation of a disk.
pub(super) fn prepare_request(order: &PrepareOrder) -> PrepareRequest {
    PrepareRequest { agreed: order.agreed.clone(), ..order.args.request() }
}

/// The making of a stick.
pub(super) fn stick_request(order: &StickOrder) -> StickRequest {
    StickRequest { agreed: order.agreed.clone(), ..order.args.request() }
}
