//! QEMU's control connection (QMP, docs/interop/qmp-spec.rst in QEMU): JSON, a line each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

/// How often and how much the machine wrote to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub operations: u64,
    pub bytes: u64,
}

pub struct Monitor {
    reader: BufReader<UnixStream>,
}

impl Monitor {
    pub fn new(connection: UnixStream) -> Self {
        let mut monitor = Self { reader: BufReader::new(connection) };
        monitor.receive();
        monitor.execute("qmp_capabilities", &json!({}));
        monitor
    }

    /// Runs a command; panics when QEMU refuses it.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.reader.get_mut(), "{request}").expect("QEMU has gone away");
        loop {
            let mut answer = self.receive();
            if let Some(error) = answer.get("error") {
                panic!("QEMU refuses {request}: {error}");
            }
            // Anything else is an event that nobody waits for.
            if let Some(result) = answer.get_mut("return") {
                return result.take();
            }
        }
    }

    /// What was written to the drive with that id since the machine started.
    pub fn written(&mut self, drive: &str) -> Written {
        let all = self.execute("query-blockstats", &json!({}));
        let stats = all
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["device"] == drive)
            .unwrap_or_else(|| panic!("QEMU knows no drive {drive}: {all}"));
        let count = |name: &str| stats["stats"][name].as_u64().unwrap();
        Written { operations: count("wr_operations"), bytes: count("wr_bytes") }
    }

    /// Plugs a disk into the machine's USB controller.
    pub fn plug_usb_disk(&mut self, image: &Path, serial: &str) {
        self.add_image(image, serial);
        self.add_usb_device(serial);
    }

    /// The same with a disk that delivers so many bytes a second.
    pub fn plug_slow_usb_disk(&mut self, image: &Path, serial: &str, speed: u64) {
        let (group, file) = (format!("{serial}-group"), format!("{serial}-file"));
        self.add_image(image, &file);
        self.execute(
            "object-add",
            &json!({ "qom-type": "throttle-group", "id": group,
                     "limits": { "bps-read": speed } }),
        );
        self.execute(
            "blockdev-add",
            &json!({ "driver": "throttle", "node-name": serial, "throttle-group": group,
                     "file": file }),
        );
        self.add_usb_device(serial);
    }

    fn add_usb_device(&mut self, serial: &str) {
        self.execute(
            "device_add",
            &json!({ "driver": "usb-storage", "bus": "xhci.0", "id": format!("{serial}-device"),
                     "drive": serial, "serial": serial }),
        );
    }

    /// Plugs a virtio disk into the machine's hot-plug slot, which takes one.
    pub fn plug_virtio_disk(&mut self, image: &Path, serial: &str) {
        self.add_image(image, serial);
        self.execute(
            "device_add",
            &json!({ "driver": "virtio-blk-pci", "bus": "hotport", "id": format!("{serial}-device"),
                     "drive": serial, "serial": serial }),
        );
    }

    /// Puts another card into a reader, whatever the machine is doing with the one that is in it.
    pub fn swap_card(&mut self, serial: &str, card: &Path) {
        self.execute(
            "blockdev-change-medium",
            &json!({ "device": serial, "filename": card, "format": "raw", "force": true }),
        );
    }

    /// Takes a plugged disk away.
    pub fn unplug(&mut self, serial: &str) {
        self.execute("device_del", &json!({ "id": format!("{serial}-device") }));
    }

    fn add_image(&mut self, image: &Path, node: &str) {
        self.execute(
            "blockdev-add",
            &json!({ "driver": "raw", "node-name": node,
                     "file": { "driver": "file", "filename": image } }),
        );
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("QEMU does not answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("QEMU says {line:?}: {error}"))
    }
}
