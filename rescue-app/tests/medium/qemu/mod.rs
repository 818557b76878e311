//! Virtual machines for tests: QEMU's interpreter (no KVM, the same everywhere), BIOS or UEFI,
//! a serial terminal to read and type on, and a control connection.
//!
//! ```ignore
//! let mut machine = Machine::new(Firmware::Uefi).usb_stick(&iso).disk(&image, "SRC").start();
//! machine.wait_for("Lifeboat", BOOT);
//! machine.send(key::DOWN);
//! assert_eq!(machine.monitor.written("SRC").operations, 0);
//! ```
//!
//! The machine is killed when it is dropped.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

mod monitor;
mod terminal;

pub use monitor::Monitor;
pub use terminal::Terminal;

/// The longest that a boot may take: seconds on a quiet machine, minutes on a busy one.
pub const BOOT: Duration = Duration::from_secs(300);

/// The longest that a machine's reaction to a key or a small command may take.
pub const REACTION: Duration = Duration::from_secs(90);

/// Where the distributions' `ovmf` package keeps UEFI firmware.
const OVMF: &str = "/usr/share/OVMF";

/// What terminals send for keys that are not characters.
pub mod key {
    pub const ENTER: &str = "\r";
    pub const DOWN: &str = "\x1b[B";
    pub const UP: &str = "\x1b[A";
    pub const ESCAPE: &str = "\x1b";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    Bios,
    Uefi,
    /// UEFI that has Microsoft's keys enrolled and refuses everything not signed.
    SecureBoot,
}

/// A machine that is put together and not yet started.
pub struct Machine {
    firmware: Firmware,
    arguments: Vec<OsString>,
    memory: u32,
    processors: u32,
    boot_index: u32,
}

impl Machine {
    pub fn new(firmware: Firmware) -> Self {
        Self { firmware, arguments: Vec::new(), memory: 1024, processors: 1, boot_index: 0 }
    }

    /// Main memory in MiB.
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.memory = mebibytes;
        self
    }

    pub fn processors(mut self, count: u32) -> Self {
        self.processors = count;
        self
    }

    /// A CD drive with that disc; the machine starts from what was added first.
    pub fn cd(self, iso: &Path) -> Self {
        let index = self.boot_index;
        self.drive("cd", iso, "media=cdrom,readonly=on")
            .with("-device", format!("ide-cd,drive=cd,bus=ide.0,bootindex={index}"))
            .next_boot_index()
    }

    /// A USB stick with that content; what is written to it is forgotten afterwards.
    pub fn usb_stick(self, image: &Path) -> Self {
        self.usb_stick_with(image, "snapshot=on")
    }

    /// A USB stick with that content, which is written to.
    pub fn written_usb_stick(self, image: &Path) -> Self {
        self.usb_stick_with(image, "cache=unsafe")
    }

    fn usb_stick_with(self, image: &Path, options: &str) -> Self {
        let index = self.boot_index;
        self.drive("stick", image, options)
            .with(
                "-device",
                format!("usb-storage,bus=xhci.0,drive=stick,serial=STICK,bootindex={index}"),
            )
            .next_boot_index()
    }

    /// A virtio disk; the serial number is also the name of its drive for
    /// [`Monitor::written`].
    pub fn disk(self, image: &Path, serial: &str) -> Self {
        let index = self.boot_index;
        self.drive(serial, image, "cache=unsafe,discard=unmap")
            .with(
                "-device",
                format!("virtio-blk-pci,drive={serial},serial={serial},bootindex={index}"),
            )
            .next_boot_index()
    }

    /// A card reader of that serial number, with a card in it; see [`Monitor::swap_card`].
    pub fn card_reader(self, card: &Path, serial: &str) -> Self {
        let device = format!("usb-storage,bus=xhci.0,drive={serial},serial={serial},removable=on");
        self.drive(serial, card, "cache=unsafe").with("-device", device)
    }

    /// A SCSI disk with sectors (of 512 bytes) that cannot be read.
    pub fn failing_scsi_disk(self, image: &Path, serial: &str, sectors: &[u64]) -> Self {
        let errors = sectors.iter().map(|sector| error("read", Some(*sector))).collect();
        self.with("-blockdev", debugged(image, serial, errors).to_string())
            .with("-device", "virtio-scsi-pci,id=scsi")
            .with("-device", format!("scsi-hd,bus=scsi.0,drive={serial},serial={serial}"))
    }

    /// A virtio disk with a sector (of 512 bytes) that cannot be written, or with none that can.
    pub fn unwritable_disk(self, image: &Path, serial: &str, sector: Option<u64>) -> Self {
        self.block_disk(serial, &debugged(image, serial, vec![error("write", sector)]))
    }

    /// A virtio disk that is served at that socket as a network block device.
    pub fn served_disk(self, socket: &Path, serial: &str) -> Self {
        let node = json!({
            "driver": "nbd", "node-name": serial, "server": { "type": "unix", "path": socket },
        });
        self.block_disk(serial, &node)
    }

    fn block_disk(self, serial: &str, node: &Value) -> Self {
        self.with("-blockdev", node.to_string())
            .with("-device", format!("virtio-blk-pci,drive={serial},serial={serial}"))
    }

    /// A virtio disk whose writes and flushes are logged, in the order in which they were asked
    /// for (QEMU's `blklogwrites`); both files must exist.
    pub fn logged_disk(self, image: &Path, log: &Path, serial: &str) -> Self {
        let node = json!({
            "driver": "blklogwrites", "node-name": serial, "log-super-update-interval": 1,
            "discard": "unmap",
            "file": { "driver": "file", "filename": image },
            "log": { "driver": "file", "filename": log },
        });
        self.block_disk(serial, &node)
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let serial = UnixListener::bind(folder.path().join("serial")).unwrap();
        let control = UnixListener::bind(folder.path().join("control")).unwrap();
        let errors = fs::File::create(folder.path().join("errors")).unwrap();
        let mut process = self
            .command(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("qemu-system-x86_64 does not start: run `make setup`");
        let mut accept = |listener| connection(listener, &mut process, folder.path());
        let (serial, control) = (accept(serial), accept(control));
        Running {
            terminal: Terminal::new(serial),
            monitor: Monitor::new(control),
            process,
            _folder: folder,
        }
    }

    fn command(mut self, folder: &Path) -> Command {
        if self.firmware != Firmware::Bios {
            self = self.with_uefi(folder);
        }
        let mut command = Command::new("qemu-system-x86_64");
        command
            .current_dir(folder)
            // All processors in one thread: with a thread each, a kernel that patched its own code
            // while it started has crashed (an int3 that was no longer there).
            .args(["-accel", "tcg,thread=single", "-cpu", "max"])
            .args(["-nic", "none", "-display", "none"])
            .args(["-no-user-config", "-nodefaults", "-vga", "std"])
            .args(["-machine", "q35,smm=on", "-no-reboot"])
            .args(["-m", &self.memory.to_string(), "-smp", &self.processors.to_string()])
            .args(["-chardev", "socket,id=serial,path=serial", "-serial", "chardev:serial"])
            .args(["-chardev", "socket,id=control,path=control", "-mon", "control,mode=control"])
            .args(["-device", "qemu-xhci,id=xhci", "-device", "pcie-root-port,id=hotport"])
            .args(self.arguments);
        command
    }

    fn with_uefi(mut self, folder: &Path) -> Self {
        let (code, variables) = if self.firmware == Firmware::SecureBoot {
            self = self
                .with("-global", "driver=cfi.pflash01,property=secure,value=on")
                .with("-global", "ICH9-LPC.disable_s3=1");
            ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd")
        } else {
            ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
        };
        let own = folder.join("variables");
        fs::copy(Path::new(OVMF).join(variables), &own)
            .unwrap_or_else(|e| panic!("{OVMF}/{variables}: {e}: run `make setup`"));
        let code = Path::new(OVMF).join(code);
        let flash = |unit: u32, file: &Path, more: &str| {
            format!("if=pflash,format=raw,unit={unit},file={}{more}", file.display())
        };
        self.with("-drive", flash(0, &code, ",readonly=on")).with("-drive", flash(1, &own, ""))
    }

    fn drive(self, id: &str, file: &Path, more: &str) -> Self {
        let file = fs::canonicalize(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        // A comma in a path would start the next option; QEMU wants it doubled.
        let file = file.display().to_string().replace(',', ",,");
        self.with("-drive", format!("if=none,id={id},format=raw,file={file},{more}"))
    }

    fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.arguments.push(option.into());
        self.arguments.push(value.into());
        self
    }

    fn next_boot_index(mut self) -> Self {
        self.boot_index += 1;
        self
    }
}

/// An image that fails by the rules in `errors`.
fn debugged(image: &Path, name: &str, errors: Vec<Value>) -> Value {
    json!({
        "driver": "blkdebug", "node-name": name, "inject-error": errors,
        "image": { "driver": "file", "filename": image },
    })
}

/// A rule of `blkdebug`: reads or writes that touch the sector, or all, fail with EIO.
fn error(kind: &str, sector: Option<u64>) -> Value {
    let mut rule = json!({ "event": "none", "iotype": kind, "errno": 5, "once": false });
    if let Some(sector) = sector {
        rule["sector"] = sector.into();
    }
    rule
}

/// QEMU connects as soon as it runs; when it ends instead, what it said is the reason.
fn connection(listener: UnixListener, qemu: &mut Child, folder: &Path) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    let limit = Instant::now() + REACTION;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return stream;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("waiting for QEMU: {error}"),
        }
        if let Some(status) = qemu.try_wait().unwrap() {
            let said = fs::read_to_string(folder.join("errors")).unwrap_or_default();
            panic!("QEMU ended ({status}): {said}");
        }
        assert!(Instant::now() < limit, "QEMU does not connect");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A machine that runs; killed when dropped.
pub struct Running {
    pub terminal: Terminal,
    pub monitor: Monitor,
    process: Child,
    /// Sockets and firmware variables; they go away with the machine.
    _folder: TempDir,
}

impl Running {
    /// Waits until a text is on the screen.
    pub fn wait_for(&self, text: &str, timeout: Duration) {
        self.terminal.wait(&format!("{text:?}"), timeout, |terminal| {
            terminal.screen().contains(text).then_some(())
        });
    }

    /// Types.
    pub fn send(&self, keys: &str) {
        self.terminal.send(keys.as_bytes());
    }

    /// What is on the serial terminal's screen.
    pub fn screen(&self) -> String {
        self.terminal.screen()
    }

    /// In the boot loader's menu of our medium: the entry that gives a shell on the serial line.
    pub fn choose_shell(&self) {
        self.wait_for("a shell instead", BOOT);
        self.send(key::DOWN);
        self.send(key::DOWN);
        self.terminal.wait("the third entry", REACTION, |terminal| {
            terminal.screen().contains("*Lifeboat, a shell").then_some(())
        });
        self.send(key::ENTER);
        self.wait_for("as the kernel's command line asks", BOOT);
    }

    /// Runs a command in the shell on the serial line; its output, which must come with exit
    /// status 0.
    pub fn shell(&self, command: &str) -> String {
        let (status, output) = self.try_shell(command, REACTION);
        assert_eq!(status, 0, "`{command}` in the machine failed: {output}");
        output
    }

    /// Runs a command in the shell on the serial line: exit status and output.
    pub fn try_shell(&self, command: &str, timeout: Duration) -> (u32, String) {
        // The quotes keep the marks out of the echo of what is typed.
        let from = self.terminal.transcript_len();
        self.send(&format!("echo B''EGIN; {command}; echo E''ND=$?.\r"));
        self.terminal.wait(&format!("the end of `{command}`"), timeout, |terminal| {
            let text = terminal.transcript(from).replace('\r', "");
            let (output, rest) = text.split_once("BEGIN\n")?.1.split_once("END=")?;
            let status = rest.split_once('.')?.0.parse().ok()?;
            Some((status, output.to_owned()))
        })
    }

    /// Repeats a shell command until its output is as wanted.
    pub fn shell_until(&self, command: &str, wanted: impl Fn(&str) -> bool) -> String {
        let limit = Instant::now() + REACTION;
        loop {
            let (_, output) = self.try_shell(command, REACTION);
            if wanted(&output) {
                return output;
            }
            assert!(Instant::now() < limit, "`{command}` keeps saying {output:?}");
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Waits until the machine has switched itself off (or restarts, which ends it too).
    pub fn wait_for_end(mut self, timeout: Duration) {
        let limit = Instant::now() + timeout;
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < limit, "still running; the screen:\n{}", self.screen());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; both calls are harmless then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
