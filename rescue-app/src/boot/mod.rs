//! Start-up inside the boot medium: drivers for the hardware that is there, disks made read-only.
//!
//! There is no udev. One thread listens to the kernel's announcements and sets every disk that
//! comes read-only at once; another loads kernel modules, which may take long. The listener is
//! open before the first look at the devices, so that nothing falls between the two.

mod disks;
mod modules;

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::disk::Sysfs;
use crate::disk::uevent::{Action, Heard, Uevent, UeventListener};
use disks::Protector;
use modules::Loader;

/// Exists once the disks that are attached at start have been found.
pub const READY_FILE: &str = "/run/lifeboat/ready";

/// Devices have settled when nothing was announced and nothing loaded for this long.
const QUIET: Duration = Duration::from_millis(700);

/// The same when there is a USB disk: the kernel gives it a second to itself before it looks at
/// it (`delay_use` of usb-storage).
const QUIET_WITH_USB_DISK: Duration = Duration::from_millis(1800);

/// The longest wait for that; what comes later is found all the same.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);

/// Why the boot medium's start-up cannot do its work.
#[derive(Debug, Error)]
pub enum BootError {
    /// It would set every disk of a running system read-only.
    #[error(
        "this command belongs to the Lifeboat boot medium and sets every disk read-only; the \
         kernel's command line has no {} here, so it does nothing",
        crate::disk::MEDIUM_PARAMETER
    )]
    NotTheMedium,
    /// Without the announcements neither drivers nor late disks can be found.
    #[error("listening for the kernel's device announcements: {0}")]
    Listen(#[source] io::Error),
    /// The thread that loads modules could not be started.
    #[error("starting the module loader: {0}")]
    Loader(#[source] io::Error),
    /// The consoles wait for this file before they start the menu.
    #[error("writing {READY_FILE}: {0}")]
    Ready(#[source] io::Error),
}

/// Loads drivers, sets disks read-only, tells when the first devices are there, and goes on doing
/// so for devices that come later. Returns only when it fails.
///
/// # Errors
/// See [`BootError`]. A module that does not load or a disk that cannot be set read-only is told
/// on standard error and does not end it.
pub fn run() -> Result<(), BootError> {
    refuse_elsewhere()?;
    let listener = UeventListener::open().map_err(BootError::Listen)?;
    let loader = Loader::start().map_err(BootError::Loader)?;
    let mut devices =
        Devices { disks: Protector::new(Path::new("/sys/block")), loader, usb_disk: false };
    devices.look_at_all();
    devices.settle(&listener)?;
    fs::write(READY_FILE, "").map_err(BootError::Ready)?;
    loop {
        if let Some(heard) = listener.wait(None).map_err(BootError::Listen)? {
            devices.react(heard);
        }
    }
}

fn refuse_elsewhere() -> Result<(), BootError> {
    if Sysfs::host().is_boot_medium() { Ok(()) } else { Err(BootError::NotTheMedium) }
}

/// What is done about devices.
struct Devices {
    disks: Protector,
    loader: Loader,
    /// Whether a USB mass-storage interface was met.
    usb_disk: bool,
}

impl Devices {
    /// For what was announced before the listener was open, or was lost.
    fn look_at_all(&mut self) {
        self.disks.protect_all();
        for alias in modules::aliases(Path::new("/sys/devices")) {
            self.load(alias);
        }
    }

    fn load(&mut self, alias: String) {
        self.usb_disk |= modules::is_usb_mass_storage(&alias);
        self.loader.load(alias);
    }

    fn quiet(&self) -> Duration {
        if self.usb_disk { QUIET_WITH_USB_DISK } else { QUIET }
    }

    fn settle(&mut self, listener: &UeventListener) -> Result<(), BootError> {
        let limit = Instant::now() + SETTLE_LIMIT;
        while Instant::now() < limit {
            match listener.wait(Some(self.quiet())).map_err(BootError::Listen)? {
                Some(heard) => self.react(heard),
                None if self.loader.is_idle() => break,
                None => {}
            }
        }
        Ok(())
    }

    fn react(&mut self, heard: Heard) {
        match heard {
            Heard::Event(event) if event.action == Action::Add => self.welcome(&event),
            Heard::Event(_) => {}
            Heard::Lost => self.look_at_all(),
        }
    }

    fn welcome(&mut self, event: &Uevent) {
        if let Some(name) = event.whole_disk() {
            self.disks.protect(name);
        }
        if let Some(alias) = event.property("MODALIAS") {
            self.load(alias.to_owned());
        }
    }
}
