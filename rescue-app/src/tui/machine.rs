//! The menu's only way to the machine: requests that run in the background, replies that come back.

use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::model::{
    CaptureOrder, CapturePlan, DiskList, Facts, Failure, Job, Keep, Log, Outcome, Places,
    PrepareOrder, PreparePlan, Repository, StickOrder, StickPlan, WriteOrder, WritePlan,
};
use crate::operation::{Browsed, Container, Control, ImagePlace, ImageSummary, Passphrase, Place};
use crate::volume::VolumeKey;

/// Everything the menu can learn from and do to the machine. All calls may block; none is made on
/// the thread that draws.
pub trait Machine: Send + Sync {
    /// What the header shows.
    fn facts(&self) -> Facts;
    /// All disks; `None` when nothing changed since the list with the signature `known`.
    fn disks(&self, known: Option<u64>) -> Result<Option<DiskList>, Failure>;
    /// Partitions where images live or could live.
    fn places(&self, control: Control<'_>) -> Result<Places, Failure>;
    /// Finds out what is lost when a disk is made a place for images.
    fn plan_prepare(&self, order: &PrepareOrder) -> Result<PreparePlan, Failure>;
    /// Erases a disk and makes it a place for images.
    fn prepare(&self, order: &PrepareOrder, control: Control<'_>) -> Result<Place, Failure>;
    /// Finds out what making a stick would do.
    fn plan_stick(&self, order: &StickOrder) -> Result<StickPlan, Failure>;
    /// Makes the data partition of the stick that Lifeboat was started from.
    fn use_stick(&self, order: &StickOrder, control: Control<'_>) -> Result<Place, Failure>;
    /// Opens a repository and lists its images, newest first.
    fn images(&self, repository: &Repository) -> Result<Vec<ImageSummary>, Failure>;
    /// Creates a repository.
    fn create(&self, repository: &Repository) -> Result<(), Failure>;
    /// The volumes of an image, or what is in a folder of one.
    fn browse(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        control: Control<'_>,
    ) -> Result<Browsed, Failure>;
    /// Files below a folder of an image, by a part of their names.
    fn find_files(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        name: &str,
        control: Control<'_>,
    ) -> Result<Browsed, Failure>;
    /// The beginning of a file of an image, as text.
    fn peek(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        control: Control<'_>,
    ) -> Result<String, Failure>;
    /// Opens an encrypted container of a disk.
    fn unlock(
        &self,
        disk: &Path,
        container: &Container,
        passphrase: &Passphrase,
    ) -> Result<VolumeKey, Failure>;
    /// Finds out what a capture would do.
    fn plan_capture(
        &self,
        order: &CaptureOrder,
        control: Control<'_>,
    ) -> Result<CapturePlan, Failure>;
    /// Finds out what writing a disk would do.
    fn plan_write(&self, order: &WriteOrder, control: Control<'_>) -> Result<WritePlan, Failure>;
    /// Captures, restores, clones or verifies.
    fn run(&self, job: &Job, control: Control<'_>) -> Result<Outcome, Failure>;
    /// Removes one image from the list of a repository.
    fn forget(&self, repository: &Repository, image: &ImageSummary) -> Result<(), Failure>;
    /// The ids of the images that the rules would forget.
    fn plan_free(&self, repository: &Repository, keep: Keep) -> Result<Vec<String>, Failure>;
    /// Sets the system's clock.
    fn set_clock(&self, time: OffsetDateTime) -> Result<(), Failure>;
    /// Writes the log beside the images of a repository; its path there.
    fn keep_log(&self, repository: &Repository) -> Result<String, Failure>;
    /// The run's log.
    fn log(&self) -> Result<Log, Failure>;
}

/// Something a page asks of the [`Machine`].
#[derive(Clone, Debug)]
pub enum Request {
    /// [`Machine::disks`].
    Disks {
        /// Signature of the list already known.
        known: Option<u64>,
    },
    /// [`Machine::places`].
    Places,
    /// [`Machine::plan_prepare`].
    PlanPrepare(PrepareOrder),
    /// [`Machine::prepare`].
    Prepare(PrepareOrder),
    /// [`Machine::plan_stick`].
    PlanStick(Box<StickOrder>),
    /// [`Machine::use_stick`].
    UseStick(Box<StickOrder>),
    /// [`Machine::images`].
    Images(Repository),
    /// [`Machine::create`].
    Create(Repository),
    /// [`Machine::browse`].
    Browse(Repository, ImagePlace),
    /// [`Machine::find_files`].
    FindFiles(Repository, ImagePlace, String),
    /// [`Machine::peek`].
    Peek(Repository, ImagePlace),
    /// [`Machine::unlock`].
    Unlock {
        /// The disk's path below `/dev`.
        disk: PathBuf,
        /// Which of its containers.
        container: Container,
        /// What was typed.
        passphrase: Passphrase,
    },
    /// [`Machine::plan_capture`].
    PlanCapture(Box<CaptureOrder>),
    /// [`Machine::plan_write`].
    PlanWrite(Box<WriteOrder>),
    /// [`Machine::run`].
    Run(Job),
    /// [`Machine::forget`].
    Forget(Repository, ImageSummary),
    /// [`Machine::plan_free`].
    PlanFree(Repository, Keep),
    /// [`Machine::set_clock`].
    SetClock(OffsetDateTime),
    /// [`Machine::keep_log`].
    KeepLog(Repository),
    /// [`Machine::log`].
    Log,
}

/// The answer to a [`Request`] of the same name.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Request::Disks`].
    Disks(Result<Option<DiskList>, Failure>),
    /// To [`Request::Places`].
    Places(Result<Places, Failure>),
    /// To [`Request::PlanPrepare`].
    PreparePlan(Result<PreparePlan, Failure>),
    /// To [`Request::PlanStick`].
    StickPlan(Result<StickPlan, Failure>),
    /// To [`Request::Prepare`] and [`Request::UseStick`].
    Prepared(Result<Box<Place>, Failure>),
    /// To [`Request::Images`].
    Images(Result<Vec<ImageSummary>, Failure>),
    /// To [`Request::Create`], [`Request::Forget`] and [`Request::SetClock`].
    Done(Result<(), Failure>),
    /// To [`Request::Browse`] and [`Request::FindFiles`].
    Browsed(Result<Browsed, Failure>),
    /// To [`Request::Peek`].
    Peeked(Result<String, Failure>),
    /// To [`Request::Unlock`].
    Unlocked(Result<VolumeKey, Failure>),
    /// To [`Request::PlanCapture`].
    CapturePlan(Result<CapturePlan, Failure>),
    /// To [`Request::PlanWrite`].
    WritePlan(Result<WritePlan, Failure>),
    /// To [`Request::Run`].
    Finished(Result<Outcome, Failure>),
    /// To [`Request::PlanFree`].
    FreePlan(Result<Vec<String>, Failure>),
    /// To [`Request::KeepLog`].
    LogKept(Result<String, Failure>),
    /// To [`Request::Log`].
    Log(Result<Log, Failure>),
}

impl Request {
    /// Does what is asked; blocks until it is done.
    pub fn run(&self, machine: &dyn Machine, control: Control<'_>) -> Reply {
        match self {
            Self::Disks { known } => Reply::Disks(machine.disks(*known)),
            Self::Places => Reply::Places(machine.places(control)),
            Self::PlanPrepare(order) => Reply::PreparePlan(machine.plan_prepare(order)),
            Self::Prepare(order) => Reply::Prepared(machine.prepare(order, control).map(Box::new)),
            Self::PlanStick(order) => Reply::StickPlan(machine.plan_stick(order)),
            Self::UseStick(order) => {
                Reply::Prepared(machine.use_stick(order, control).map(Box::new))
            }
            Self::Images(repository) => Reply::Images(machine.images(repository)),
            Self::Create(repository) => Reply::Done(machine.create(repository)),
            Self::Browse(repository, place) => {
                Reply::Browsed(machine.browse(repository, place, control))
            }
            Self::FindFiles(repository, place, name) => {
                Reply::Browsed(machine.find_files(repository, place, name, control))
            }
            Self::Peek(repository, place) => {
                Reply::Peeked(machine.peek(repository, place, control))
            }
            Self::Unlock { disk, container, passphrase } => {
                Reply::Unlocked(machine.unlock(disk, container, passphrase))
            }
            Self::PlanCapture(order) => Reply::CapturePlan(machine.plan_capture(order, control)),
            Self::PlanWrite(order) => Reply::WritePlan(machine.plan_write(order, control)),
            Self::Run(job) => Reply::Finished(machine.run(job, control)),
            Self::Forget(repository, image) => Reply::Done(machine.forget(repository, image)),
            Self::PlanFree(repository, keep) => {
                Reply::FreePlan(machine.plan_free(repository, *keep))
            }
            Self::SetClock(time) => Reply::Done(machine.set_clock(*time)),
            Self::KeepLog(repository) => Reply::LogKept(machine.keep_log(repository)),
            Self::Log => Reply::Log(machine.log()),
        }
    }

    /// The reply when the request could not be carried out at all.
    pub fn failed(&self, failure: Failure) -> Reply {
        match self {
            Self::Disks { .. } => Reply::Disks(Err(failure)),
            Self::Places => Reply::Places(Err(failure)),
            Self::PlanPrepare(_) => Reply::PreparePlan(Err(failure)),
            Self::Prepare(_) | Self::UseStick(_) => Reply::Prepared(Err(failure)),
            Self::PlanStick(_) => Reply::StickPlan(Err(failure)),
            Self::Images(_) => Reply::Images(Err(failure)),
            Self::Create(_) | Self::Forget(..) | Self::SetClock(_) => Reply::Done(Err(failure)),
            Self::Browse(..) | Self::FindFiles(..) => Reply::Browsed(Err(failure)),
            Self::Peek(..) => Reply::Peeked(Err(failure)),
            Self::Unlock { .. } => Reply::Unlocked(Err(failure)),
            Self::PlanCapture(_) => Reply::CapturePlan(Err(failure)),
            Self::PlanWrite(_) => Reply::WritePlan(Err(failure)),
            Self::Run(_) => Reply::Finished(Err(failure)),
            Self::PlanFree(..) => Reply::FreePlan(Err(failure)),
            Self::KeepLog(_) => Reply::LogKept(Err(failure)),
            Self::Log => Reply::Log(Err(failure)),
        }
    }
}
