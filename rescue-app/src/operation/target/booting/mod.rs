//! What a target needs besides its bytes so that firmware starts it: boot entries, and a program where
//! firmware without an entry looks for one.

mod esp;
mod supply;
mod trust;

use serde::Serialize;

use crate::bytes::{Extent, Window};
use crate::disk::DiskKind;
use crate::firmware::{BootEntry, HardDrive, LoadOption, PartitionId, SecureBoot, Variables};
use crate::image::manifest::Region;
use crate::inspect;
use crate::progress::Control;
use crate::transfer::Transfer;
use crate::volume::{Kind, Scrutiny};

use super::Aim;
use super::plan::TargetPlan;
use super::scope::Scope;
use esp::Esp;
pub use supply::{FileCopy, Supply};
pub use trust::Refused;

/// Entries that one partition brings at most, and bytes of each: an image is not trusted with the memory of
/// the firmware, which is small.
const MOST_ENTRIES: usize = 8;
const LONGEST_ENTRY: usize = 4096;

/// What is done besides so that the target starts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Booting {
    /// Boot entries that this machine's firmware gets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<NewEntry>,
    /// Programs that are put where firmware without an entry looks for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supplies: Vec<Supply>,
    /// Programs that this machine's firmware will refuse to start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// What a person should know of it before.
    #[serde(skip)]
    pub(super) notices: Vec<String>,
}

impl Booting {
    /// Whether nothing is done, and nothing to be said.
    pub(super) fn is_nothing(&self) -> bool {
        self.entries.is_empty() && self.supplies.is_empty() && self.refused.is_empty()
    }
}

/// A boot entry that this machine's firmware gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewEntry {
    /// What it is called.
    pub description: String,
    /// Number of the partition on the target that the program lies on.
    pub partition: u32,
    /// The program: `\EFI\debian\shimx64.efi`; `None` where firmware is to look for its usual one.
    pub file: Option<String>,
    /// The entry as it will be.
    #[serde(skip)]
    option: LoadOption,
}

/// A partition of the source from which firmware may start programs, and what it will be on the target.
struct Landed<'a> {
    region: &'a Region,
    /// As a table tells the one that it was.
    uuid: &'a str,
    drive: HardDrive,
    place: Extent,
}

/// What is known of the partitions of a target that firmware may start programs from.
#[derive(Default)]
struct Found {
    /// Whether this machine has an entry for a program that will be there.
    has_entry: bool,
    /// Entries of the machine that was captured, and their places in its order.
    saved: Vec<(Option<u16>, NewEntry)>,
    /// One for a boot loader that is installed, in case there are none of these.
    made: Option<NewEntry>,
    supplies: Vec<Supply>,
    refused: Vec<Refused>,
}

/// What this machine's firmware has and does.
#[derive(Default)]
struct Own {
    options: Vec<LoadOption>,
    secure_boot: Option<SecureBoot>,
}

impl Own {
    fn of(variables: &Variables) -> Self {
        let entries = variables.boot_entries();
        let options = entries.iter().filter_map(BootEntry::load_option).collect();
        Self { options, secure_boot: SecureBoot::of(variables) }
    }
}

impl Aim<'_> {
    /// Finds out what is to be done. What cannot be read is left as it is.
    pub(super) fn booting(&self) -> Booting {
        let is_device = self.state.survey.disk.kind == DiskKind::Device;
        if !is_device || self.scope == Scope::Volume {
            return Booting::default();
        }
        let variables = Variables::of_this_machine();
        let own = variables.as_ref().map(Own::of).unwrap_or_default();
        let mut found = Found::default();
        for landed in self.landed() {
            self.look(&landed, &own, &mut found);
        }
        found.saved.sort_by_key(|(order, _)| *order);
        let saved: Vec<NewEntry> = found.saved.into_iter().map(|(_, entry)| entry).collect();
        let mut notices: Vec<String> = found.supplies.iter().map(Supply::sentence).collect();
        notices.extend(found.refused.iter().map(Refused::sentence));
        let wanted = self.request.nvram && !found.has_entry;
        let entries = match variables {
            Some(_) if wanted && saved.is_empty() => found.made.into_iter().collect(),
            Some(_) if wanted => saved,
            None if wanted && !saved.is_empty() => {
                notices.push(format!(
                    "this computer was not started by UEFI: its firmware does not get the boot entries of \
                     the captured one ({})",
                    listed(&saved)
                ));
                Vec::new()
            }
            _ => Vec::new(),
        };
        if !entries.is_empty() {
            notices.push(format!(
                "this computer's firmware has no boot entry for what is written: it gets {}, in front of \
                 the others (--no-nvram leaves them out)",
                listed(&entries)
            ));
        }
        Booting { entries, supplies: found.supplies, refused: found.refused, notices }
    }

    /// What is on one of the partitions that firmware may start programs from.
    fn look(&self, landed: &Landed<'_>, own: &Own, found: &mut Found) {
        let Landed { region, uuid, drive, place } = landed;
        let volume = Window::new(self.content.disk, region.start, region.size);
        let Ok(tree) = inspect::files(&volume, Scrutiny::Lenient) else { return };
        let esp = Esp { tree: tree.as_ref() };
        let target_uuid = drive.part_uuid();
        found.has_entry |= own.options.iter().any(|it| esp.program_of(it, &target_uuid).is_some());
        let saved = self.saved_entries(&esp, uuid, drive);
        let named: Vec<String> = saved.iter().filter_map(|(_, entry)| entry.file.clone()).collect();
        let copies = supply::find(&esp, named.first().map(String::as_str));
        let partition = drive.number;
        let supply = (!copies.is_empty()).then_some(Supply { partition, place: *place, copies });
        found.supplies.extend(supply);
        if let Some(secure_boot) = &own.secure_boot {
            found.refused.extend(trust::refused(&esp, partition, named, secure_boot));
        }
        found.saved.extend(saved);
        found.made = found.made.take().or_else(|| made_entry(&esp, drive));
    }

    /// Entries of the captured machine for programs that are on the partition `uuid`, for where that goes, in
    /// the order that they had. Those that were in none are left out, unless none was.
    fn saved_entries(
        &self,
        esp: &Esp<'_>,
        uuid: &str,
        drive: &HardDrive,
    ) -> Vec<(Option<u16>, NewEntry)> {
        let entries = self.content.manifest.boot_entries.iter();
        let entries = entries.filter(|entry| entry.option.len() <= LONGEST_ENTRY);
        let mut found: Vec<(Option<u16>, NewEntry)> = entries
            .filter_map(|entry| {
                let saved = entry.load_option()?;
                let file = esp.program_of(&saved, uuid)?;
                let (description, option) = (saved.description(), saved.onto(drive)?);
                let partition = drive.number;
                Some((entry.order, NewEntry { description, partition, file, option }))
            })
            .collect();
        if found.iter().any(|(order, _)| order.is_some()) {
            found.retain(|(order, _)| order.is_some());
        }
        found.sort_by_key(|(order, _)| *order);
        found.truncate(MOST_ENTRIES);
        found
    }

    /// The FAT partitions among what is written that firmware may start programs from.
    fn landed(&self) -> Vec<Landed<'_>> {
        let found = self.transfers.iter().filter_map(|transfer| self.landed_by(transfer));
        found.collect()
    }

    fn landed_by(&self, transfer: &Transfer) -> Option<Landed<'_>> {
        let manifest = self.content.manifest;
        let region = manifest.regions.iter().find(|region| region.start == transfer.from)?;
        let source = manifest.table.partition(region.partition?)?;
        let uuid = source.uuid.as_deref()?;
        let named = || {
            let options = manifest.boot_entries.iter().filter_map(|entry| entry.load_option());
            options.filter_map(|option| option.loader()).any(|it| it.drive.part_uuid() == uuid)
        };
        let kind = region.filesystem.as_ref()?.kind;
        let is_fat = matches!(kind, Kind::Fat12 | Kind::Fat16 | Kind::Fat32);
        if !is_fat || !(source.is_efi_system() || named()) {
            return None;
        }
        let target = match self.scope {
            Scope::Disk => source,
            _ => self.state.survey.table.data_partitions().find(|it| it.start == transfer.to)?,
        };
        let size = self.relaid.as_ref().and_then(|relaid| Some(relaid.place(region)?.1));
        let size = size.unwrap_or(target.size);
        let sector = u64::from(self.state.survey.disk.logical_sector);
        let drive = HardDrive {
            number: target.number,
            start: transfer.to.checked_div(sector)?,
            size: size.checked_div(sector)?,
            id: PartitionId::of_part_uuid(target.uuid.as_deref()?)?,
        };
        let place = Extent { start: transfer.to, end: transfer.to.saturating_add(size) };
        Some(Landed { region, uuid, drive, place })
    }
}

/// An entry for the boot loader that is installed on a partition.
fn made_entry(esp: &Esp<'_>, drive: &HardDrive) -> Option<NewEntry> {
    let mut programs = esp.installed().into_iter();
    let file = programs.find(|path| esp.usual_path(path).is_some())?;
    let option = LoadOption::new(esp::entry_name(&file), drive, &file)?;
    let (description, partition) = (option.description(), drive.number);
    Some(NewEntry { description, partition, file: Some(file), option })
}

/// All of them, for a person.
fn listed(entries: &[NewEntry]) -> String {
    let each = entries.iter().map(|entry| entry.option.to_string());
    each.collect::<Vec<_>>().join(", ")
}

/// What was done, and what to warn of where it could not be.
#[derive(Default)]
pub(super) struct Done {
    pub(super) done: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Does what is planned, on a target that is complete and that nobody has open. None of it ends a
/// restore: what cannot be done is warned of.
pub(super) fn carry_out(plan: &TargetPlan, control: Control<'_>) -> Done {
    let Booting { entries, supplies, refused, .. } = &plan.booting;
    let mut all = Done::default();
    let mut note = |result: Result<String, String>| match result {
        Ok(done) => {
            control.info(done.clone());
            all.done.push(done);
        }
        Err(warning) => {
            control.warn(warning.clone());
            all.warnings.push(warning);
        }
    };
    for supply in supplies {
        note(supply.carry_out(&plan.target));
    }
    if !entries.is_empty() {
        note(add_entries(entries));
    }
    for program in refused {
        note(Err(program.sentence()));
    }
    all
}

fn add_entries(entries: &[NewEntry]) -> Result<String, String> {
    let options: Vec<LoadOption> = entries.iter().map(|entry| entry.option.clone()).collect();
    let added = Variables::of_this_machine()
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
        .and_then(|variables| variables.add_in_front(&options));
    match added {
        Ok(numbers) => {
            let names: Vec<String> =
                numbers.iter().map(|number| format!("Boot{number:04X}")).collect();
            let names = names.join(", ");
            Ok(format!(
                "the firmware's boot entries {names} were added in front: {}",
                listed(entries)
            ))
        }
        Err(error) => Err(format!(
            "this computer's firmware did not take the boot entries {} ({error}); the disk is complete: choose it \
             in the firmware's own menu, or add them with efibootmgr",
            listed(entries)
        )),
    }
}
