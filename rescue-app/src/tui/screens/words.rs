//! What the menu says of a job.

/// All that is said of one job while it runs and when it has ended.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Words {
    /// The first word of page titles.
    pub(in crate::tui) title: &'static str,
    /// What is worked on, and where it goes: a line each.
    pub(in crate::tui) subjects: [String; 2],
    /// What the bytes are called that it leaves behind.
    pub(in crate::tui) written: &'static str,
    /// What its checking of stored data is called.
    pub(in crate::tui) checking: &'static str,
    /// The question before it is stopped, with what that leaves behind.
    pub(in crate::tui) stop: &'static str,
    /// The sentence when it succeeded.
    pub(in crate::tui) done: &'static str,
    /// The same when there are warnings.
    pub(in crate::tui) done_with_warnings: &'static str,
    /// What to do or to know then; may be empty.
    pub(in crate::tui) next: &'static str,
    /// The work, as the start of a sentence that tells that it failed.
    pub(in crate::tui) work: &'static str,
    /// What it left behind when it failed before it wrote to a target, or has none.
    pub(in crate::tui) left: &'static str,
    /// What it left behind when it failed afterwards.
    pub(in crate::tui) left_half_written: &'static str,
}
