//! What Lifeboat does: blocking functions with typed events, shared by menu and command line.

mod access;
mod boot;
mod browse;
mod capture;
mod catalog;
mod clock;
mod clone;
mod consent;
mod copy;
mod diff;
mod error;
mod forget;
pub mod format;
mod guard;
mod image_files;
mod images;
mod keys;
mod label;
mod latest;
pub mod log;
mod machine;
mod machine_volumes;
mod maintenance;
mod mount;
mod order;
mod peek;
mod places;
mod prepare;
mod prune;
mod restore;
pub mod safety;
mod search;
mod serve;
mod shortage;
mod source;
mod stats;
mod stick;
mod survey;
mod target;
mod timed;
mod unlock;
mod verify;

pub use access::{Compression, Passphrase, RepoAccess, create_repository};
pub use boot::{BootNote, BootReport, BootRequest, Verdict, boot, verify_boot};
pub use browse::{
    BrowseRequest, Browsed, BrowsedFile, BrowsedVolume, ImagePlace, find as find_files,
    list as list_files,
};
pub use capture::{
    CaptureOutlook, CapturePlan, CaptureReport, CaptureRequest, Space, capture, map_name,
    plan_capture,
};
pub use clock::set_clock;
pub use clone::{ClonePlan, CloneReport, CloneRequest, plan_clone};
pub use copy::{CopyReport, copy_files, copy_to_new_folder};
pub use diff::{Aspect, Change, DiffReport, DiffRequest, Difference, diff};
pub use error::OperationError;
pub use forget::{
    ForgetReport, ForgetRequest, ForgottenDisk, ForgottenImage, Rules, Unwanted, forget,
};
pub use image_files::ThrowAway;
pub use images::{ImagePartition, ImageSummary, list_images, show_image};
pub use keys::{KeyReport, KeyWork, change_keys, list_keys};
pub use label::{Label, Tag};
pub use maintenance::{Repair, Repaired, check, repair, unlock};
pub use mount::{MountRequest, mount};
pub use peek::peek;
pub use places::{Place, Want, find_places};
pub use prepare::{
    PlaceFilesystem, PreparePlan, PrepareReport, PrepareRequest, plan_prepare, prepare,
};
pub use prune::{PruneRequest, prune};
pub use restore::{RestorePlan, RestoreReport, RestoreRequest, What, With, plan_restore};
pub use search::FoundRepository;
pub use serve::{ServeRequest, serve};
pub use source::{SourcePlan, SourceRequest, SourceSummary, Unpartitioned, not_stored};
pub use stats::{Stats, repository_stats};
pub use stick::{
    MediumPart, MediumReport, StickContent, StickData, StickPlan, StickReport, StickRequest,
    check_medium, is_stick_data, make_stick, plan_stick, stick_room,
};
pub use survey::{Survey, Volume, survey_disk, survey_machine};
pub use target::{
    Absent, Booting, FileCopy, Growth, LayoutEntry, NewEntry, Preview, Refused, Remains, Supply,
    TargetPlan, TargetRequest, VirtualDisk,
};
pub use timed::Timed;
pub use unlock::{Container, Keys, LockedDisk};
pub use verify::{VerifyReport, verify};

pub use crate::export::NbdAddress;
pub use crate::image::layout::Reading;
pub use crate::progress::{
    Cancel, Control, Event, Level, Meter, Notice, Phase, Progress, Resume, Shortage,
};
pub use crate::repository::{CheckReport, KeepRules, PruneReport, Within};
pub use crate::transfer::RescueOptions;
pub use crate::virtual_disk::Format;
pub use crate::virtual_machine::{Firmware, Screen};
