//! Filesystems that are given the room of a larger partition, by their own tools, once everything is
//! written and read back.

use serde::Serialize;

use crate::bytes::Extent;
use crate::operation::error::OperationError;
use crate::progress::{Control, Phase};
use crate::resize;
use crate::table;
use crate::volume::Kind;

use super::partition::Partition;
use super::plan::TargetPlan;

/// A filesystem that is grown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// Number of its partition; `None` on a disk without a table.
    pub number: Option<u32>,
    /// First byte of that.
    pub start: u64,
    /// Size of that in bytes.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
    /// The program that grows it.
    pub tool: &'static str,
}

/// Grows what the plan says, on a target that is complete and that nobody has open; what to warn of where
/// that fails, since the filesystem then has the size that it had.
pub(super) fn grow(plan: &TargetPlan, control: Control<'_>) -> Vec<String> {
    if plan.grows.is_empty() {
        return Vec::new();
    }
    control.phase(Phase::Finishing);
    let grown = plan.grows.iter().filter_map(|growth| {
        let place = Extent { start: growth.start, end: growth.start.saturating_add(growth.size) };
        let device = Partition::find(&plan.target, growth.number, place);
        let error = device
            .and_then(|device| Ok(resize::grow(growth.kind, &device.path, &plan.room)?))
            .err()?;
        let warning = not_grown(growth, &error);
        control.warn(warning.clone());
        Some(warning)
    });
    grown.collect()
}

/// The warning of a filesystem that was not grown.
pub(super) fn not_grown(growth: &Growth, error: &OperationError) -> String {
    let Growth { number, kind, .. } = growth;
    let name = table::name_of(*number);
    format!("{name}: its {kind} was not grown and has the size that it had: {error}")
}
