//! Writing to a disk, from an image or from another disk: the pages that both verbs have.

use super::super::model::{Job, Origin, WriteOrder};
use super::super::page::{Action, Then, open};
use super::super::screens::{
    Agreeable, Agreed, Confirm, DISK_HELP, Disks, ProgressPage, Said, Sizes, Subject, Wanted,
    Words, WriteOptions, WritePlanPage,
};
use crate::job::What;
use crate::operation::{Phase, format};

/// What one of the two verbs says of its work.
#[derive(Clone, Copy)]
pub(super) struct WriteWords {
    pub(super) stop: &'static str,
    /// When the target was read back.
    pub(super) proven: &'static str,
    /// When it was not.
    pub(super) written: &'static str,
    pub(super) next: &'static str,
    /// What a person is told to keep, before they agree.
    pub(super) source: Option<&'static str>,
}

/// From the choice of the target on.
pub(super) fn target(from: Origin, words: &'static WriteWords) -> Action {
    let wanted = Wanted::target(from.clone());
    let then = move |disk| {
        let order = WriteOrder::all_of(from.clone(), disk);
        let then = Then::new(move |order| plan(order, words));
        let sizes = then.clone();
        let sizes = Then::new(move |order| open(Sizes::new(order, sizes.clone())));
        open(WriteOptions::new(order, then, sizes))
    };
    open(Disks::new(wanted, Then::new(then)))
}

fn plan(order: WriteOrder, words: &'static WriteWords) -> Action {
    open(WritePlanPage::new(order, Then::new(move |agreeable| agree(agreeable, words))))
}

fn agree((order, lost): Agreeable, words: &'static WriteWords) -> Action {
    let subject = subject(&order, words).losing(&lost);
    let then = move |()| {
        let order = order.clone();
        let said = said(&order, words);
        open(ProgressPage::new(Job::Write(Box::new(order)), said))
    };
    open(Confirm::new(subject, Agreed::Go(Then::new(then))))
}

fn subject(order: &WriteOrder, words: &WriteWords) -> Subject {
    let mut said =
        vec![Said::Text("This disk will be overwritten:".into()), Said::Gone(order.disk.line())];
    if let Some(source) = words.source {
        said.extend([Said::Text(source.into()), Said::Kept(order.from.line())]);
    }
    match &order.what {
        What::Disk => {}
        What::Partitions(numbers) => {
            said.push(Said::Only(format!("only partitions {}", format::numbers(numbers))));
        }
        What::Volume { name, .. } => {
            said.push(Said::Only(format!("with the logical volume {name} alone")));
        }
    }
    let title = format!("{}: the last question", order.from.verb());
    Subject { title, help: DISK_HELP, said, confirmation: order.disk.confirmation() }
}

fn said(order: &WriteOrder, words: &WriteWords) -> Words {
    let done = if order.target.no_read_back { words.written } else { words.proven };
    Words {
        title: order.from.verb(),
        subjects: [format!("From  {}", order.from.line()), format!("To    {}", order.disk.line())],
        written: "Written",
        checking: Phase::Verifying.title(),
        stop: words.stop,
        done,
        done_with_warnings: done,
        next: words.next,
        work: order.from.work(),
        left: "It ended before the target was written. If the target was changed all the same, the \
               list of disks says that it is incomplete.",
        left_half_written: "The target is not complete and will not start a computer. The same again \
                            with \"compare first\" carries on from where it stopped.",
    }
}
