//! The machine that is started.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Firmware, PROGRAM};
use crate::tool::{self, ToolError};

/// What the machine is made of.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// What it starts with.
    pub firmware: Firmware,
    /// Memory, bytes.
    pub memory: u64,
    /// Processors.
    pub processors: usize,
    /// How the disk was connected: "SATA", "NVMe", "virtio".
    pub transport: String,
    /// Its sectors, bytes.
    pub sector: u32,
}

/// Where one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// A window, or what QEMU has instead.
    Window,
    /// This terminal is its serial line.
    Terminal,
    /// Nowhere: it is watched.
    Hidden,
}

/// Where the machine's parts are in a folder.
pub(super) const SERIAL: &str = "serial";
pub(super) const FIRMWARE_LOG: &str = "firmware";
pub(super) const MONITOR: &str = "monitor";
pub(super) const SCREEN: &str = "screen";

/// The command that starts it, with the disk that the NBD server at `socket` has; what it needs besides is put into
/// `folder`. `Ok(None)` where UEFI is not installed.
///
/// # Errors
/// [`ToolError::Missing`], and a folder that cannot be written.
pub fn command(
    hardware: &Hardware,
    screen: Screen,
    socket: &Path,
    folder: &Path,
) -> Result<Option<Command>, ToolError> {
    let mut command = tool::command(PROGRAM)?;
    command.args(["-no-user-config", "-nodefaults", "-machine", "q35,graphics=off"]);
    let failed = |source: io::Error| ToolError::Failed { name: PROGRAM.to_owned(), source };
    match kvm_works(folder).map_err(failed)? {
        true => command.args(["-accel", "kvm", "-cpu", "host"]),
        false => command.args(["-accel", "tcg", "-cpu", "max"]),
    };
    command.arg("-no-reboot");
    command.arg("-m").arg(format!("{}M", hardware.memory >> 20));
    command.arg("-smp").arg(hardware.processors.to_string());
    // No network: nobody is told that this machine has come to life a second time.
    command.args(["-nic", "none", "-vga", "std", "-device", "qemu-xhci"]);
    command.args(["-device", "usb-tablet", "-rtc", "base=localtime"]);
    if hardware.firmware == Firmware::Uefi {
        let Some((code, variables)) = Firmware::ovmf(folder).map_err(failed)? else {
            return Ok(None);
        };
        for (file, read_only) in [(&code, "on"), (&variables, "off")] {
            let file = file.display();
            let drive = format!("if=pflash,format=raw,readonly={read_only},file={file}");
            command.arg("-drive").arg(drive);
        }
    }
    let disk = json!({
        "driver": "nbd", "node-name": "disk", "export": "",
        "server": { "type": "unix", "path": socket.to_string_lossy() },
    });
    command.arg("-blockdev").arg(disk.to_string());
    command.arg("-device").arg(device(hardware));
    show(&mut command, screen, folder);
    Ok(Some(command))
}

/// Whether machines run on the processor itself: whether a boot sector comes to its end. In virtual machines there may
/// be a `/dev/kvm` with which QEMU ends at once, or nothing happens.
fn kvm_works(folder: &Path) -> io::Result<bool> {
    if File::options().write(true).open("/dev/kvm").is_err() {
        return Ok(false);
    }
    let sector = folder.join("probe");
    fs::write(&sector, boot_sector(&PROBE))?;
    let mut command = tool::command(PROGRAM).map_err(io::Error::other)?;
    command.args(["-accel", "kvm", "-cpu", "host", "-m", "16", "-display", "none"]);
    command.args(["-nodefaults", "-no-user-config"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]);
    command.arg("-drive").arg(format!("format=raw,file={}", sector.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code() == Some(PROBED));
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait().map(|_| false)
}

/// `mov al, 31h; out f4h, al; hlt`: QEMU's `isa-debug-exit` ends it with twice that and one more.
const PROBE: [u8; 5] = [0xb0, 0x31, 0xe6, 0xf4, 0xf4];
const PROBED: i32 = 2 * 0x31 + 1;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(5);

fn boot_sector(code: &[u8]) -> Vec<u8> {
    let mut sector = code.to_vec();
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    sector
}

/// The disk's controller: that of its transport where the machine has one, since a system may know no other.
fn device(hardware: &Hardware) -> String {
    let sector = hardware.sector;
    let sizes = format!("logical_block_size={sector},physical_block_size={}", sector.max(4096));
    match hardware.transport.as_str() {
        "NVMe" => format!("nvme,serial=lifeboat,drive=disk,{sizes}"),
        "virtio" => format!("virtio-blk-pci,drive=disk,{sizes}"),
        // ATA has sectors of 512 bytes.
        _ if sector != 512 => format!("nvme,serial=lifeboat,drive=disk,{sizes}"),
        _ => "ide-hd,drive=disk".to_owned(),
    }
}

fn show(command: &mut Command, screen: Screen, folder: &Path) {
    match screen {
        Screen::Window => {
            command.args(["-serial", "none"]);
        }
        Screen::Terminal => {
            command.args(["-display", "none", "-serial", "mon:stdio"]);
        }
        Screen::Hidden => {
            let at = |name: &str| folder.join(name).display().to_string();
            command.args(["-display", "none", "-device", "pvpanic-pci"]);
            command.arg("-chardev").arg(format!("file,id=serial,path={}", at(SERIAL)));
            command.args(["-serial", "chardev:serial"]);
            // Where SeaBIOS says what it does (port 0x402).
            command.arg("-chardev").arg(format!("file,id=firmware,path={}", at(FIRMWARE_LOG)));
            command.args(["-device", "isa-debugcon,iobase=0x402,chardev=firmware"]);
            command.arg("-chardev").arg(format!("socket,id=monitor,path={}", at(MONITOR)));
            command.args(["-mon", "chardev=monitor,mode=control"]);
        }
    }
}
