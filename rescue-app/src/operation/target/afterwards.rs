//! What is done to a target once everything is written and read back.

use crate::disk::Target;
use crate::progress::Control;

use super::booting::{self, Done};
use super::grow::grow;
use super::plan::TargetPlan;

/// What became of it.
pub(in crate::operation) struct Afterwards {
    /// What was done so that the target starts.
    pub(in crate::operation) booting: Vec<String>,
    /// What to warn of: none of it makes what was written less complete.
    pub(in crate::operation) warnings: Vec<String>,
}

/// Grows filesystems, and does what the target needs besides so that it starts.
pub(in crate::operation) fn finish(
    plan: &TargetPlan,
    target: Target,
    control: Control<'_>,
) -> Afterwards {
    // Tools and drivers open the disk themselves, while no target is open.
    let _lift = target.close();
    let mut warnings = grow(plan, control);
    let Done { done, warnings: of_booting } = booting::carry_out(plan, control);
    warnings.extend(of_booting);
    Afterwards { booting: done, warnings }
}
