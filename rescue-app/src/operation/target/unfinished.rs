//! What is left of a target on which a restore broke off.

use crate::operation::error::OperationError;

use super::plan::TargetPlan;
use super::scope::Scope;

/// The error of a restore that had begun to write, with the state of its target.
pub(in crate::operation) fn told(plan: &TargetPlan, cause: OperationError) -> OperationError {
    let target = plan.target.identity();
    let left = match plan.scope {
        _ if plan.creates_file => format!("the new file {target} is not complete"),
        Scope::Disk => format!(
            "{target} is unfinished: what it held is to be taken for lost, it shows no partitions \
             and does not start"
        ),
        Scope::Volume => {
            format!("{target} is unfinished: what it held is to be taken for lost")
        }
        Scope::Partitions => format!(
            "the partitions of {target} that were to be restored are unfinished: what they held is \
             to be taken for lost; the others are as they were"
        ),
    };
    OperationError::Unfinished { cause: Box::new(cause), left }
}
