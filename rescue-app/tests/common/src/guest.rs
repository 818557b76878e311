//! A virtual machine that runs a shell script as root under the boot medium's own kernel, with
//! every tool of this machine: its root is there, changes to it are forgotten. For what this
//! machine's kernel may lack: filesystems, device mapper, software RAID, disks of other sectors.
//!
//! ```ignore
//! let mut guest = Guest::new();
//! guest.disk(&image, "stick", 4096);
//! let said = guest.run("mkfs.exfat /dev/disk/stick; mount /dev/disk/stick /mnt; …", &shared);
//! ```

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::project;
use crate::tool::{command, stdout_of};

/// The longest that a machine may run unless it is told otherwise: seconds on a quiet computer,
/// minutes on a busy one.
const LONGEST: Duration = Duration::from_secs(240);

/// What the machine needs to see this one's files: the paths of `initramfs/modules.list`.
const MODULES: &str = "drivers/block/virtio_blk\n\
    net/9p/9pnet_virtio\nfs/9p/9p\nfs/overlayfs/overlay\n";

/// `MODULE_TREE` is filled in: where the script finds modules, and the kernel, which asks
/// BusyBox for them. Output and exit status of the script come back through the shared folder.
/// Nothing is synced at the end: what a script leaves mounted is as after a power cut.
const INIT: &str = r"#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in virtio_blk 9pnet_virtio 9p overlay; do modprobe $module; done
p9=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o ro,$p9,cache=loose host /host
mount -t tmpfs over /over
mkdir /over/upper /over/work
mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work over /new
for name in dev proc sys; do mount --move /$name /new/$name; done
mkdir -p /new/shared /new/mnt /new/dev/disk /new/lib/modules
mount -t 9p -o $p9 shared /new/shared
for root in /new ''; do mount --bind /new/MODULE_TREE $root/lib/modules; done
for disk in /new/sys/block/vd*; do ln -s /dev/${disk##*/} /new/dev/disk/$(cat $disk/serial); done
export LC_ALL=C TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot /new /bin/sh -eu /shared/script >/new/shared/output 2>&1
echo $? >/new/shared/status
/bin/busybox poweroff -f -n
";

/// A machine that is put together and not yet started.
pub struct Guest {
    arguments: Vec<OsString>,
    disks: u32,
    /// The longest that it may run.
    pub longest: Duration,
}

impl Default for Guest {
    fn default() -> Self {
        Self { arguments: Vec::new(), disks: 0, longest: LONGEST }
    }
}

impl Guest {
    /// Without disks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a disk whose logical sectors have that many bytes: `/dev/disk/NAME` in the script.
    pub fn disk(&mut self, image: &Path, name: &str, sector_size: u32) {
        let file = image.display().to_string().replace(',', ",,");
        self.with("-drive", &format!("if=none,id={name},format=raw,cache=unsafe,file={file}"));
        self.device(name, sector_size);
    }

    /// Puts the drive or block node of that name into the machine, like [`Self::disk`].
    pub fn device(&mut self, name: &str, sector_size: u32) {
        // Eight to a slot: a bus has room for two hundred disks.
        let (slot, function) = (4 + self.disks / 8, self.disks % 8);
        let sectors = format!("logical_block_size={sector_size},physical_block_size={sector_size}");
        let place = format!("addr={slot:#x}.{function},multifunction=on");
        let device = format!("virtio-blk-pci,drive={name},serial={name},{sectors},{place}");
        self.with("-device", &device);
        self.disks += 1;
    }

    /// Runs a script, which has to succeed; returns what it said. `shared` is its `/shared`.
    pub fn run(mut self, script: &str, shared: &Path) -> String {
        let scratch = TempDir::new().unwrap();
        let unpacked = unpacked();
        let kernel = only_entry(&unpacked.join("usr/lib/modules"));
        let initramfs = make_initramfs(scratch.path(), &unpacked, &kernel);
        fs::write(shared.join("script"), script).unwrap();
        fs::write(shared.join("status"), "none").unwrap();
        let console = scratch.path().join("console");
        let version = kernel.file_name().unwrap().to_str().unwrap();
        let vmlinuz = unpacked.join(format!("boot/vmlinuz-{version}"));
        self.with("-kernel", vmlinuz.to_str().unwrap());
        self.with("-initrd", initramfs.to_str().unwrap());
        self.with("-append", "console=ttyS0 quiet panic=-1");
        self.with("-serial", &format!("file:{}", console.display()));
        self.with(
            "-virtfs",
            "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        );
        let share = format!("local,path={},mount_tag=shared,security_model=none", shared.display());
        self.with("-virtfs", &share);
        let ended = self.start();
        let read = |path: &Path| {
            let bytes = fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (status, output) = (read(&shared.join("status")), read(&shared.join("output")));
        let said = || format!("{ended}\nscript:\n{output}\nconsole:\n{}", read(&console));
        assert_eq!(status, "0\n", "{}", said());
        output
    }

    /// Adds an option of QEMU's.
    pub fn with(&mut self, option: &str, value: &str) {
        self.arguments.extend([option.into(), value.into()]);
    }

    /// Runs the machine to its end; how it ended.
    fn start(self) -> String {
        // One processor: with two, emulated by a thread each, a kernel that patched its own code
        // while it started has crashed.
        let mut process = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg", "-cpu", "max", "-machine", "q35", "-m", "1024", "-smp", "1"])
            .args(["-nic", "none", "-display", "none", "-no-user-config", "-nodefaults"])
            .arg("-no-reboot")
            .args(self.arguments)
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-x86_64 does not start: run `make setup`");
        let limit = Instant::now() + self.longest;
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status.to_string();
            }
            if Instant::now() > limit {
                process.kill().unwrap();
                process.wait().unwrap();
                return "it took too long".into();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The packages of the boot medium, as `make iso` unpacks them.
fn unpacked() -> PathBuf {
    let path = project().join("build/unpacked");
    // The guest sees no link into another tree.
    fs::canonicalize(&path)
        .unwrap_or_else(|_| panic!("{} is missing: run `make iso`", path.display()))
}

fn only_entry(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

/// Packs BusyBox, the modules and [`INIT`].
fn make_initramfs(scratch: &Path, unpacked: &Path, kernel: &Path) -> PathBuf {
    let (tree, list) = (scratch.join("tree"), scratch.join("modules.list"));
    let init = INIT.replace("MODULE_TREE", kernel.parent().unwrap().to_str().unwrap());
    fs::create_dir(&tree).unwrap();
    fs::write(&list, MODULES).unwrap();
    fs::write(tree.join("init"), init).unwrap();
    let script = r#"
        version=${KERNEL##*/}
        cd "$TREE"
        mkdir -p bin sbin dev proc sys host over new "lib/modules/$version"
        cp "$UNPACKED/usr/bin/busybox" bin
        chmod +x init
        ln -s ../bin/busybox sbin/modprobe
        "$SELECT" "$UNPACKED" "$version" "$LIST" | while read -r file; do
            install -D -m 644 "$KERNEL/$file" "lib/modules/$version/$file"
        done
        cp "$KERNEL"/modules.{builtin,builtin.modinfo,order} "lib/modules/$version"
        /sbin/depmod -b . "$version"
        find . | cpio --quiet -o -H newc >../initramfs
    "#;
    let mut bash = command("bash");
    bash.args(["-euo", "pipefail", "-c", script])
        .env("TREE", &tree)
        .env("LIST", &list)
        .env("KERNEL", kernel)
        .env("UNPACKED", unpacked)
        .env("SELECT", project().join("scripts/select-modules"));
    stdout_of(&mut bash);
    scratch.join("initramfs")
}
