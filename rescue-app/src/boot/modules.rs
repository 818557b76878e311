//! Kernel modules for the hardware that is there.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::console;

/// The program that the kernel itself calls for the same purpose.
const MODPROBE: &str = "/sbin/modprobe";

/// No device asks for these by name, or it asks so late (a USB stick a second after its adapter,
/// a memory card after its reader) that having them there already is safer: what makes disks out
/// of SCSI devices and cards, and what makes keyboards work.
const ALWAYS: &[&str] = &["sd_mod", "sr_mod", "mmc_block", "hid-generic", "usbhid"];

/// The most names for one call of modprobe, which reads its index anew each time.
const BATCH: usize = 200;

/// Loads modules in a thread of its own: one driver's start may take seconds.
pub(super) struct Loader {
    queue: Sender<String>,
    waiting: Arc<AtomicUsize>,
}

impl Loader {
    /// Starts the thread, which begins with the modules that are always needed.
    pub(super) fn start() -> io::Result<Self> {
        let (queue, requests) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let loader = Self { queue, waiting: Arc::clone(&waiting) };
        for name in ALWAYS {
            loader.load((*name).to_owned());
        }
        thread::Builder::new()
            .name("modules".to_owned())
            .spawn(move || serve(&requests, &waiting))?;
        Ok(loader)
    }

    /// Asks for the modules that fit an alias (or bear a name).
    pub(super) fn load(&self, alias: String) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if let Err(unsent) = self.queue.send(alias) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            console::tell(&format!("the module loader has ended; {} is not loaded", unsent.0));
        }
    }

    /// Whether everything asked for has been tried.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }
}

fn serve(requests: &Receiver<String>, waiting: &AtomicUsize) {
    let mut tried = HashSet::new();
    while let Ok(first) = requests.recv() {
        let batch: Vec<String> =
            std::iter::once(first).chain(requests.try_iter()).take(BATCH).collect();
        let taken = batch.len();
        let new: Vec<String> =
            batch.into_iter().filter(|alias| tried.insert(alias.clone())).collect();
        if !new.is_empty() {
            load_now(&new);
        }
        waiting.fetch_sub(taken, Ordering::SeqCst);
    }
}

fn load_now(aliases: &[String]) {
    // Most aliases have no module (bridges, buttons): its exit status says nothing of use.
    let result = Command::new(MODPROBE)
        .args(["-a", "-b", "-q", "--"])
        .args(aliases)
        .stdin(Stdio::null())
        .status();
    if let Err(error) = result {
        console::tell(&format!("running {MODPROBE}: {error}"));
    }
}

/// Every `modalias` below `devices` (`/sys/devices`), each once.
pub(super) fn aliases(devices: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![devices.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // Links in sysfs lead to other devices, which are met in their own place.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if entry.file_name() == "modalias" {
                let alias = fs::read_to_string(entry.path()).unwrap_or_default();
                found.insert(alias.trim().to_owned());
            }
        }
    }
    found.remove("");
    found
}

/// Whether an alias is that of a USB interface of the mass-storage class (08 after `ic`).
pub(super) fn is_usb_mass_storage(alias: &str) -> bool {
    alias.starts_with("usb:") && alias.contains("ic08isc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb_disks_are_told_by_their_interface_class() {
        let stick = "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00";
        let keyboard = "usb:v0627p0001d0000dc00dsc00dp00ic03isc01ip01in00";
        assert!(is_usb_mass_storage(stick));
        assert!(!is_usb_mass_storage(keyboard));
        assert!(!is_usb_mass_storage("pci:v00001B36d0000000Dbc0Csc03i30"));
    }

    #[test]
    fn aliases_are_found_at_every_depth_and_links_are_not_followed() {
        let sys = tempfile::tempdir().unwrap();
        let deep = sys.path().join("pci0000:00/0000:00:1f.2");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("modalias"), "pci:v00008086d00002922\n").unwrap();
        fs::write(sys.path().join("pci0000:00/modalias"), "acpi:PNP0A08:\n").unwrap();
        fs::create_dir(sys.path().join("empty")).unwrap();
        fs::write(sys.path().join("empty/modalias"), "\n").unwrap();
        std::os::unix::fs::symlink(sys.path(), deep.join("subsystem")).unwrap();
        let found: Vec<String> = aliases(sys.path()).into_iter().collect();
        assert_eq!(found, ["acpi:PNP0A08:", "pci:v00008086d00002922"]);
    }
}
