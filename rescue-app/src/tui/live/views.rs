//! From the operation layer's values to what the menu shows.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use time::OffsetDateTime;

use crate::console;
use crate::disk;
use crate::disk::pci::Controller;
use crate::operation::{
    self, CaptureReport, CheckReport, CloneReport, CopyReport, MediumReport, OperationError,
    PruneReport, RestoreReport, StickData, StickReport, Survey, Timed, VerifyReport, format,
};
use crate::tui::model::{CapturePlan, DiskList, Failure, Outcome, Planned, StickPlan};

/// The cause and the next step of an error.
pub(super) fn failure(error: OperationError) -> Failure {
    let (text, next_step) = match &error {
        OperationError::Refused { why, next } => (sentence(why), Some(sentence(next))),
        error => (sentence(&error.to_string()), None),
    };
    let (cancelled, needs_passphrase) = (error.is_cancelled(), error.needs_passphrase());
    Failure { text, next_step, cancelled, needs_passphrase }
}

/// `text` with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let text = console::without_numbers(text);
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// A number that changes whenever a disk appears, leaves or changes.
pub(super) fn signature(disks: &[disk::Disk]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for disk in disks {
        format!("{disk:?}").hash(&mut hasher);
    }
    hasher.finish()
}

/// All disks; the silent controllers explain missing ones.
pub(super) fn disk_list(signature: u64, disks: Vec<Survey>, silent: &[Controller]) -> DiskList {
    let mut hints: Vec<String> =
        silent.iter().filter_map(|controller| controller.hint).map(str::to_owned).collect();
    hints.dedup();
    DiskList { signature, disks, controllers: silent.iter().map(controller).collect(), hints }
}

fn controller(controller: &Controller) -> String {
    let Controller { address, vendor, device, class_name, hidden_nvme, .. } = controller;
    let hidden = match hidden_nvme {
        0 => String::new(),
        count => format!(", hides {count} NVMe disks"),
    };
    format!("{address}  {vendor:04x}:{device:04x}  {class_name}{hidden}")
}

/// A capture's plan.
pub(super) fn capture_plan(plan: operation::CapturePlan) -> CapturePlan {
    let is_doubted = plan.outlook.clock_is_doubted;
    CapturePlan {
        wrong_clock: is_doubted.then(|| format::time(OffsetDateTime::now_utc())),
        source: plan.source.summary.clone(),
        outlook: plan.outlook.clone(),
        planned: Some(Planned::new(plan)),
    }
}

/// What a capture achieved.
pub(super) fn capture_outcome(report: &Timed<CaptureReport>) -> Outcome {
    let mut facts = vec![
        fact(
            "Image",
            format!("{}, {}", report.image.short_id(), format::time_of(&report.image.time)),
        ),
        fact("Read", format::size(report.read)),
        fact("Left out", format!("{} that no file uses", format::size(report.unused))),
    ];
    facts.extend(operation::not_stored(&report.left_out).map(|text| fact("", text)));
    facts.extend([
        fact("Stored", format!("{} new", format::size(report.added))),
        fact("There already", format::size(report.reused)),
        fact("Checked", format!("{} read back, all right", format::size(report.verified))),
    ]);
    facts.extend(report.image.boot_entries.iter().map(|entry| fact("Boot entry", entry.clone())));
    if report.unreadable > 0 {
        facts.push(fact("Unreadable", format::size(report.unreadable)));
    }
    facts.push(time_taken(report.time));
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What a copy of files achieved.
pub(super) fn copy_outcome(report: &CopyReport) -> Outcome {
    let folder = report.to.file_name().unwrap_or_default();
    let facts = vec![
        fact("Files", report.files.to_string()),
        fact("Folders", report.folders.to_string()),
        fact("Copied", format::size(report.bytes)),
        fact("Folder", console::path(folder)),
    ];
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What making a stick would do.
pub(super) fn stick_plan(plan: operation::StickPlan) -> StickPlan {
    let iso = match plan.writes_iso {
        true => format!("{} is written to it.", plan.volume_id),
        false => format!("{}, from which it starts, stays as it is.", plan.volume_id),
    };
    let data = match &plan.data {
        StickData::New => format!(
            "It gets an empty partition for images: {} with exFAT, which every system reads.",
            format::size(plan.data_size)
        ),
        StickData::Kept { label, size } => format!(
            "Its data partition {} ({}) stays, with all images that are in it.",
            label.as_deref().unwrap_or("without a label"),
            format::size(*size)
        ),
    };
    StickPlan {
        said: vec![iso, data],
        lost: plan.lost,
        agreement: Some(plan.agreement),
        hold: Some(plan.hold),
    }
}

/// What the making of a stick achieved.
pub(super) fn stick_outcome(report: &Timed<StickReport>) -> Outcome {
    let data = match report.data {
        StickData::New => "new and empty",
        StickData::Kept { .. } => "kept, with all that is in it",
    };
    let facts = vec![
        fact("Lifeboat", report.volume_id.clone()),
        fact("For images", format!("{}, {data}", format::size(report.size))),
        time_taken(report.time),
    ];
    Outcome { facts, warnings: Vec::new() }
}

/// What a check of the medium found; damage is a failure.
pub(super) fn medium_outcome(report: &Timed<MediumReport>) -> Result<Outcome, Failure> {
    if let Some(first) = report.damaged.first() {
        let count = report.damaged.len();
        return Err(Failure {
            text: format!(
                "The medium is damaged: {} ({count} in all).",
                console::plain(&first.name)
            ),
            next_step: Some("Write it again, to another stick. Images are not concerned.".into()),
            ..Failure::default()
        });
    }
    let facts = vec![
        fact("Lifeboat", report.volume_id.clone()),
        fact("Checked", format!("{}, all right", format::size(report.checked))),
        time_taken(report.time),
    ];
    Ok(Outcome { facts, warnings: Vec::new() })
}

/// What a restore achieved.
pub(super) fn restore_outcome(report: &Timed<RestoreReport>) -> Outcome {
    let counts = (report.written, report.unchanged, report.read_back);
    let mut facts = written(counts, "in the image");
    facts.extend(report.booting.iter().map(|text| fact("To start it", text.clone())));
    facts.push(time_taken(report.time));
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What a clone achieved.
pub(super) fn clone_outcome(report: &Timed<CloneReport>) -> Outcome {
    let mut facts = vec![fact("Read", format::size(report.read))];
    let counts = (report.written, report.unchanged, report.read_back);
    facts.extend(written(counts, "on the source"));
    facts.extend(report.booting.iter().map(|text| fact("To start it", text.clone())));
    if report.unreadable > 0 {
        facts.push(fact("Unreadable", format::size(report.unreadable)));
    }
    facts.push(time_taken(report.time));
    Outcome { facts, warnings: report.warnings.clone() }
}

fn written((written, unchanged, read_back): (u64, u64, u64), like: &str) -> Vec<(String, String)> {
    let read_back = match read_back {
        0 => "nothing".into(),
        bytes => format!("{}, all as {like}", format::size(bytes)),
    };
    vec![
        fact("Written", format::size(written)),
        fact("There already", format::size(unchanged)),
        fact("Read back", read_back),
    ]
}

/// What a verification achieved.
pub(super) fn verify_outcome(report: &Timed<VerifyReport>) -> Outcome {
    let facts = vec![
        fact("Images", report.images.to_string()),
        fact("Read", format!("{} in {} pieces", format::size(report.bytes), report.blobs)),
        time_taken(report.time),
    ];
    Outcome { facts, warnings: report.warnings.clone() }
}

/// What a check found; damage is a failure.
pub(super) fn check_outcome(report: &CheckReport) -> Result<Outcome, Failure> {
    if !report.is_sound() {
        let damage = report.findings.iter().filter(|finding| finding.is_damage);
        let texts: Vec<_> = damage.map(|finding| sentence(&finding.text)).collect();
        return Err(Failure {
            text: texts.join(" "),
            next_step: Some(
                "Run \"lifeboat repair index\" or \"lifeboat repair packs\" in the shell, then \
                 capture the disks again."
                    .into(),
            ),
            ..Failure::default()
        });
    }
    let facts = vec![
        fact("Images", report.snapshots.to_string()),
        fact("Packs", format!("{} with {} pieces", report.packs, report.blobs)),
    ];
    let warnings = report.findings.iter().map(|finding| sentence(&finding.text)).collect();
    Ok(Outcome { facts, warnings })
}

/// What freeing space achieved.
pub(super) fn free_outcome(forgotten: u64, report: &PruneReport) -> Outcome {
    let facts = vec![
        fact("Forgotten", format!("{forgotten} images")),
        fact("Freed", format::size(report.freed)),
        fact(
            "Remaining",
            format!("{} for {} images", format::size(report.remaining), report.images),
        ),
    ];
    Outcome { facts, warnings: report.warnings.clone() }
}

fn fact(name: &str, value: String) -> (String, String) {
    (name.into(), value)
}

fn time_taken(span: Duration) -> (String, String) {
    let text =
        if span.as_secs() == 0 { "less than a second".into() } else { format::duration(span) };
    fact("Time", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_sentences() {
        let error = OperationError::refused("/dev/sda is mounted", "unmount it");
        let failure = failure(error);
        assert_eq!(failure.text, "/dev/sda is mounted.");
        assert_eq!(failure.next_step.as_deref(), Some("Unmount it."));
        assert!(!failure.cancelled);
        assert_eq!(sentence("écrire"), "Écrire.");
        assert_eq!(sentence(""), ".");
    }
}
