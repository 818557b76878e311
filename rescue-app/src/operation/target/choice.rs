//! What of the source goes where on a target, and what of the target it replaces.

use crate::image::manifest::Region;
use crate::operation::error::OperationError;
use crate::operation::guard;
use crate::transfer::Transfer;

use super::content::Content;
use super::relaid::Relaid;
use super::request::TargetRequest;
use super::scope::{self, Scope};
use super::state::TargetState;

/// What is written, and where to.
pub(super) struct Choice {
    pub(super) transfers: Vec<Transfer>,
    pub(super) scope: Scope,
    pub(super) relaid: Option<Relaid>,
}

/// Decides it for a target that was looked at; `begun` is whether this very work was begun on it before.
///
/// # Errors
/// Refuses what does not fit, and what cannot be done there.
pub(super) fn choose(
    request: &TargetRequest,
    state: &TargetState,
    content: &Content<'_>,
    begun: bool,
) -> Result<Choice, OperationError> {
    let (target, manifest) = (&state.survey.disk, content.manifest);
    if let Some((volume, transfers)) = &content.volume {
        refuse_sizes(request, "a logical volume alone has no partitions")?;
        guard::has_room(target, volume.size)?;
        return Ok(Choice { transfers: transfers.clone(), scope: Scope::Volume, relaid: None });
    }
    let chosen = content.partitions;
    scope::check_chosen(manifest, chosen.unwrap_or_default())?;
    if let Some(chosen) = chosen.filter(|_| !state.blank && !begun) {
        refuse_sizes(request, "the partitions of the target keep their places and sizes")?;
        let transfers = scope::partitions(state, manifest, chosen)?;
        return Ok(Choice { transfers, scope: Scope::Partitions, relaid: None });
    }
    let wanted = |region: &Region| {
        scope::is_stored(region) && chosen.is_none_or(|chosen| scope::is_chosen(region, chosen))
    };
    let relaid = Relaid::find(target, content, &request.layout, wanted)?;
    let transfers = match (&relaid, chosen) {
        (Some(relaid), _) => relaid.transfers(manifest, wanted),
        (None, Some(chosen)) => scope::with_table(manifest, chosen),
        (None, None) => scope::whole_disk(manifest),
    };
    Ok(Choice { transfers, scope: Scope::Disk, relaid })
}

fn refuse_sizes(request: &TargetRequest, why: &str) -> Result<(), OperationError> {
    if !request.layout.ask_for_sizes() {
        return Ok(());
    }
    let why = format!("no sizes of partitions can be set: {why}");
    Err(OperationError::refused(why, "leave them out, or restore the whole disk"))
}
