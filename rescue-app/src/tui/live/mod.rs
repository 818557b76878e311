//! The real machine behind the menu: every request is handed to [`crate::operation`].

mod facts;
mod requests;
mod views;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::machine::Machine;
use super::model::{
    CaptureOrder, CapturePlan, CopyOrder, DiskList, Facts, Failure, Job, Keep, Log, Origin,
    Outcome, Places, Planned, PrepareOrder, PreparePlan, Repository, StickOrder, StickPlan,
    WriteOrder, WritePlan,
};
use crate::console;
use crate::disk::{self, pci};
use crate::job::UnusedArgs;
use crate::operation::log::{self, Log as RunLog, keep_what_would_be_lost};
use crate::operation::{
    self, BrowseRequest, Browsed, ClonePlan, Container, Control, Event, ForgetRequest, ImagePlace,
    ImageSummary, LockedDisk, OperationError, Passphrase, Place, PruneRequest, RepoAccess,
    RestorePlan, Rules, Unwanted, Want,
};
use crate::store::{Location, NetworkOptions};
use crate::volume::VolumeKey;
use requests::{capture_request, clone_request, prepare_request, restore_request, stick_request};

/// How much of the log is shown: the end, in bytes.
const LOG_SHOWN: u64 = 128 << 10;

/// More files than this are not shown of a search.
const MOST_FOUND: usize = 10_000;

/// This machine.
#[derive(Default)]
pub(super) struct LiveMachine {
    /// One request at a time: two of them must not mount the same partition, nor take each other's
    /// mounts for a disk in use.
    turn: Mutex<()>,
    /// The places of the newest search, to be mounted when they are chosen.
    places: Mutex<Vec<Place>>,
}

/// A restore that was planned, and the place of its image for as long as the plan counts.
struct PlannedRestore {
    plan: RestorePlan,
    access: RepoAccess,
}

impl LiveMachine {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mounts what has to be mounted for `repository`, until nobody works on it any more.
    fn reach(&self, repository: &Repository, want: Want) -> Result<RepoAccess, Failure> {
        let passphrase = repository.passphrase.clone();
        match &repository.location {
            Location::Partition { device, folder } => {
                RepoAccess::on(&self.place(device)?, folder, want, passphrase)
            }
            other @ (Location::Folder(_) | Location::Stick(_) | Location::Network(_)) => {
                RepoAccess::at(other, want, passphrase, &NetworkOptions::default())
            }
        }
        .map_err(views::failure)
    }

    fn browse_request(
        &self,
        repository: &Repository,
        place: &ImagePlace,
    ) -> Result<BrowseRequest, Failure> {
        let repo = self.reach(repository, Want::Read)?;
        Ok(BrowseRequest { place: place.clone(), repo })
    }

    fn place(&self, device: &Path) -> Result<Place, Failure> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().find(|place| place.device == device).cloned().ok_or_else(|| Failure {
            text: format!("{} is not there any more", console::path(device)),
            next_step: Some("Plug the disk in again and search again.".into()),
            ..Failure::default()
        })
    }

    /// Looks for places on all disks, and keeps them to be mounted later.
    fn search(&self, control: Control<'_>) -> Result<Places, OperationError> {
        let disks = operation::survey_machine()?;
        let found = operation::find_places(&disks, control)?;
        (*self.places.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&found);
        Ok(Places { found, disks })
    }

    /// The place that was made on a disk.
    fn made_on(
        &self,
        disk: &Path,
        is_it: impl Fn(&Place) -> bool,
        control: Control<'_>,
    ) -> Result<Place, Failure> {
        let places = self.search(control).map_err(views::failure)?;
        let mut found = places.found.into_iter();
        found.find(|place| place.disk.path == disk && is_it(place)).ok_or_else(|| Failure {
            text: format!("The kernel shows no partition of {} yet.", console::path(disk)),
            next_step: Some("Plug the disk out and in again, then search again.".into()),
            ..Failure::default()
        })
    }

    fn make_stick(&self, order: &StickOrder, control: Control<'_>) -> Result<Outcome, Failure> {
        let what = format!("making a stick of {}", order.disk.line());
        let request = stick_request(order);
        logged(&what, None, control, |control| operation::make_stick(&request, control))
            .map(|report| views::stick_outcome(&report))
    }

    fn run_capture(&self, order: &CaptureOrder, control: Control<'_>) -> Result<Outcome, Failure> {
        let access = self.reach(&order.repository, Want::Write)?;
        let what = format!("capture of {} to {}", order.disk.line(), order.repository.title);
        let request = capture_request(order, access.clone());
        let plan: &operation::CapturePlan = planned(order.planned.as_ref())?;
        logged(&what, Some(&access), control, |control| plan.run(&request, control))
            .map(|report| views::capture_outcome(&report))
    }

    fn plan_restore(
        &self,
        order: &WriteOrder,
        image: &ImageSummary,
        repository: &Repository,
    ) -> Result<PlannedRestore, Failure> {
        let access = self.reach(repository, Want::Read)?;
        let request = restore_request(order, image, access.clone());
        let plan = operation::plan_restore(&request).map_err(views::failure)?;
        Ok(PlannedRestore { plan, access })
    }

    fn run_write(&self, order: &WriteOrder, control: Control<'_>) -> Result<Outcome, Failure> {
        match &order.from {
            Origin::Image { image, .. } => {
                let PlannedRestore { plan, access } = planned(order.planned.as_ref())?;
                let what = format!("restore of image {} to {}", image.id, order.disk.line());
                let request = restore_request(order, image, access.clone());
                logged(&what, Some(access), control, |control| plan.run(&request, control))
                    .map(|report| views::restore_outcome(&report))
            }
            Origin::Disk(source) => {
                let what = format!("clone of {} to {}", source.line(), order.disk.line());
                let request = clone_request(order, source);
                let plan: &ClonePlan = planned(order.planned.as_ref())?;
                logged(&what, None, control, |control| plan.run(&request, control))
                    .map(|report| views::clone_outcome(&report))
            }
        }
    }

    fn run_copy(&self, order: &CopyOrder, control: Control<'_>) -> Result<Outcome, Failure> {
        let CopyOrder { repository, image, places, to } = order;
        // What is mounted read-only cannot be mounted for writing besides.
        let is_same = matches!(&repository.location,
            Location::Partition { device, .. } if *device == to.device);
        let access = self.reach(repository, if is_same { Want::Write } else { Want::Read })?;
        let root = RepoAccess::on(&self.place(&to.device)?, Path::new(""), Want::Write, None)
            .map_err(views::failure)?;
        let what = format!("copy of files of image {} to {}", image.id, to.title());
        logged(&what, Some(&access), control, |control| {
            operation::copy_to_new_folder(places, &access, &root, control)
        })
        .map(|report| views::copy_outcome(&report))
    }

    fn run_verify(
        &self,
        repository: &Repository,
        image: Option<&ImageSummary>,
        control: Control<'_>,
    ) -> Result<Outcome, Failure> {
        let access = self.reach(repository, Want::Read)?;
        let id = image.map(|image| image.id.as_str());
        let what = format!("verification of {} in {}", id.unwrap_or("all"), repository.title);
        logged(&what, Some(&access), control, |control| operation::verify(&access, id, control))
            .map(|report| views::verify_outcome(&report))
    }

    fn run_check(&self, repository: &Repository, control: Control<'_>) -> Result<Outcome, Failure> {
        let access = self.reach(repository, Want::Read)?;
        let what = format!("check of {}", repository.title);
        logged(&what, Some(&access), control, |control| operation::check(&access, false, control))
            .and_then(|report| views::check_outcome(&report))
    }

    fn run_free(
        &self,
        repository: &Repository,
        keep: Keep,
        control: Control<'_>,
    ) -> Result<Outcome, Failure> {
        let access = self.reach(repository, Want::Write)?;
        let (repo, max_unused) = (access.clone(), UnusedArgs::default().max_unused);
        let what = format!("freeing space in {}", repository.title);
        let Some(rules) = keep.rules() else {
            let request = PruneRequest { repo, max_unused, dry_run: false };
            return logged(&what, Some(&access), control, |control| {
                operation::prune(&request, control)
            })
            .map(|report| views::free_outcome(0, &report));
        };
        let unwanted = Unwanted::AllBut(Rules { keep: rules, ..Rules::default() });
        let request = ForgetRequest { repo, unwanted, dry_run: false, prune: Some(max_unused) };
        let report =
            logged(&what, Some(&access), control, |control| operation::forget(&request, control))?;
        Ok(views::free_outcome(report.forgotten, &report.pruned.unwrap_or_default()))
    }
}

impl Machine for LiveMachine {
    fn facts(&self) -> Facts {
        facts::facts()
    }

    fn disks(&self, known: Option<u64>) -> Result<Option<DiskList>, Failure> {
        let _turn = self.turn();
        let disks = disk::list().map_err(|error| views::failure(error.into()))?;
        let signature = views::signature(&disks);
        if known == Some(signature) {
            return Ok(None);
        }
        let surveys = operation::survey_machine().map_err(views::failure)?;
        let silent = pci::silent_controllers(Path::new("/sys"));
        Ok(Some(views::disk_list(signature, surveys, &silent)))
    }

    fn places(&self, control: Control<'_>) -> Result<Places, Failure> {
        let _turn = self.turn();
        self.search(control).map_err(views::failure)
    }

    fn plan_prepare(&self, order: &PrepareOrder) -> Result<PreparePlan, Failure> {
        let _turn = self.turn();
        let plan = operation::plan_prepare(&prepare_request(order)).map_err(views::failure)?;
        Ok(PreparePlan { lost: plan.lost, agreement: Some(plan.agreement), hold: Some(plan.hold) })
    }

    fn prepare(&self, order: &PrepareOrder, control: Control<'_>) -> Result<Place, Failure> {
        let _turn = self.turn();
        let what = format!("preparation of {}", order.disk.line());
        let request = prepare_request(order);
        logged(&what, None, control, |control| operation::prepare(&request, control))?;
        let disk = order.disk.path();
        self.made_on(disk, |_| true, control)
    }

    fn plan_stick(&self, order: &StickOrder) -> Result<StickPlan, Failure> {
        let _turn = self.turn();
        let plan = operation::plan_stick(&stick_request(order)).map_err(views::failure)?;
        Ok(views::stick_plan(plan))
    }

    fn use_stick(&self, order: &StickOrder, control: Control<'_>) -> Result<Place, Failure> {
        let _turn = self.turn();
        self.make_stick(order, control)?;
        let is_data = |place: &Place| operation::is_stick_data(&place.disk, &place.volume);
        self.made_on(order.disk.path(), is_data, control)
    }

    fn images(&self, repository: &Repository) -> Result<Vec<ImageSummary>, Failure> {
        let _turn = self.turn();
        let access = self.reach(repository, Want::Read)?;
        operation::list_images(&access).map_err(views::failure)
    }

    fn create(&self, repository: &Repository) -> Result<(), Failure> {
        let _turn = self.turn();
        let access = self.reach(repository, Want::Write)?;
        operation::create_repository(&access, false).map_err(views::failure)
    }

    fn browse(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        control: Control<'_>,
    ) -> Result<Browsed, Failure> {
        let _turn = self.turn();
        let request = self.browse_request(repository, place)?;
        operation::list_files(&request, control).map_err(views::failure)
    }

    fn find_files(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        name: &str,
        control: Control<'_>,
    ) -> Result<Browsed, Failure> {
        let _turn = self.turn();
        let request = self.browse_request(repository, place)?;
        let mut found = Vec::new();
        operation::find_files(&request, name, control, &mut |file| {
            if found.len() < MOST_FOUND {
                found.push(file);
            }
        })
        .map_err(views::failure)?;
        Ok(Browsed::Files(found))
    }

    fn peek(
        &self,
        repository: &Repository,
        place: &ImagePlace,
        control: Control<'_>,
    ) -> Result<String, Failure> {
        let _turn = self.turn();
        let request = self.browse_request(repository, place)?;
        operation::peek(&request, control).map_err(views::failure)
    }

    fn unlock(
        &self,
        disk: &Path,
        container: &Container,
        passphrase: &Passphrase,
    ) -> Result<VolumeKey, Failure> {
        let _turn = self.turn();
        let disk = LockedDisk::open(disk, None).map_err(views::failure)?;
        disk.unlock(container, passphrase.reveal().as_bytes()).map_err(views::failure)
    }

    fn plan_capture(
        &self,
        order: &CaptureOrder,
        control: Control<'_>,
    ) -> Result<CapturePlan, Failure> {
        let _turn = self.turn();
        let access = self.reach(&order.repository, Want::Read)?;
        let request = capture_request(order, access.clone());
        let plan = operation::plan_capture(&request, control).map_err(views::failure)?;
        Ok(views::capture_plan(plan))
    }

    fn plan_write(&self, order: &WriteOrder, control: Control<'_>) -> Result<WritePlan, Failure> {
        let _turn = self.turn();
        match &order.from {
            Origin::Image { image, repository } => {
                let planned = self.plan_restore(order, image, repository)?;
                let with = planned.plan.with.clone();
                let preview = planned.plan.onto.preview.clone();
                Ok(WritePlan { with, preview, planned: Some(Planned::new(planned)) })
            }
            Origin::Disk(source) => {
                let request = clone_request(order, source);
                let plan = operation::plan_clone(&request, control).map_err(views::failure)?;
                let (with, preview) = (Vec::new(), plan.onto.preview.clone());
                Ok(WritePlan { with, preview, planned: Some(Planned::new(plan)) })
            }
        }
    }

    fn run(&self, job: &Job, control: Control<'_>) -> Result<Outcome, Failure> {
        let _turn = self.turn();
        match job {
            Job::Capture(order) => self.run_capture(order, control),
            Job::Write(order) => self.run_write(order, control),
            Job::Copy(order) => self.run_copy(order, control),
            Job::Stick(order) => self.make_stick(order, control),
            Job::CheckMedium => logged("check of the medium", None, control, |control| {
                operation::check_medium(None, control)
            })
            .and_then(|report| views::medium_outcome(&report)),
            Job::Verify { repository, image } => {
                self.run_verify(repository, image.as_deref(), control)
            }
            Job::Check { repository } => self.run_check(repository, control),
            Job::Free { repository, keep } => self.run_free(repository, *keep, control),
        }
    }

    fn forget(&self, repository: &Repository, image: &ImageSummary) -> Result<(), Failure> {
        let _turn = self.turn();
        let access = self.reach(repository, Want::Write)?;
        let request = ForgetRequest {
            repo: access.clone(),
            unwanted: Unwanted::Named(vec![image.id.clone()]),
            dry_run: false,
            prune: None,
        };
        operation::forget(&request, Control::silent()).map(drop).map_err(views::failure)
    }

    fn plan_free(&self, repository: &Repository, keep: Keep) -> Result<Vec<String>, Failure> {
        let _turn = self.turn();
        let access = self.reach(repository, Want::Read)?;
        let Some(rules) = keep.rules() else { return Ok(Vec::new()) };
        let request = ForgetRequest {
            repo: access.clone(),
            unwanted: Unwanted::AllBut(Rules { keep: rules, ..Rules::default() }),
            dry_run: true,
            prune: None,
        };
        let report = operation::forget(&request, Control::silent()).map_err(views::failure)?;
        let images = report.disks.into_iter().flat_map(|disk| disk.images);
        Ok(images.filter(|image| image.kept_as.is_empty()).map(|image| image.id).collect())
    }

    fn set_clock(&self, time: OffsetDateTime) -> Result<(), Failure> {
        let _turn = self.turn();
        operation::set_clock(time).map_err(views::failure)
    }

    fn keep_log(&self, repository: &Repository) -> Result<String, Failure> {
        let _turn = self.turn();
        let access = self.reach(repository, Want::Write)?;
        log::keep(&access).map_err(views::failure)
    }

    fn log(&self) -> Result<Log, Failure> {
        let path = operation::log::path();
        let text = tail(&path).map_err(|error| Failure {
            text: format!("reading the log {}: {error}", console::path(&path)),
            ..Failure::default()
        })?;
        Ok(Log { path: console::path(&path), text })
    }
}

/// The plan that a person saw: nothing else is carried out.
fn planned<T: 'static>(planned: Option<&Planned>) -> Result<&T, Failure> {
    planned.and_then(Planned::get).ok_or_else(|| Failure {
        text: "There is no plan for it any more.".into(),
        next_step: Some("Go back to the summary, and start it from there.".into()),
        ..Failure::default()
    })
}

/// Runs an operation with its events in the log as well as in the menu; the log is kept beside the
/// images if it would be lost.
fn logged<T>(
    what: &str,
    access: Option<&RepoAccess>,
    control: Control<'_>,
    run: impl FnOnce(Control<'_>) -> Result<T, OperationError>,
) -> Result<T, Failure> {
    let log = RunLog::start(what);
    let sink = |event: Event| {
        log.event(&event);
        (control.sink)(event);
    };
    let control = Control { sink: &sink, ..control };
    let result = match access {
        Some(access) => access.attended(control, run),
        None => run(control),
    };
    match &result {
        Ok(_) => log.line("done"),
        Err(error) => log.line(&format!("failed: {error}")),
    }
    access.into_iter().for_each(keep_what_would_be_lost);
    result.map_err(views::failure)
}

/// The end of a text file.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_SHOWN)))?;
    let mut bytes = Vec::new();
    file.take(LOG_SHOWN).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
