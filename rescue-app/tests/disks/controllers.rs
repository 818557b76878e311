//! Why no disk is seen.

use lifeboat::disk::pci;

use crate::sysfs::Machine;

#[test]
fn controllers_without_a_driver() {
    let machine = Machine::new();
    let pci_device = |address: &str, vendor: &str, device: &str, class: &str| {
        let dir = format!("sys/bus/pci/devices/{address}");
        machine.file(&format!("{dir}/vendor"), vendor);
        machine.file(&format!("{dir}/device"), device);
        machine.file(&format!("{dir}/class"), class);
        dir
    };
    pci_device("0000:00:0e.0", "0x8086\n", "0x467f\n", "0x010400\n");
    pci_device("0000:01:00.0", "0x1000\n", "0x005b\n", "0x010400\n");
    pci_device("0000:00:02.0", "0x8086\n", "0x46a6\n", "0x030000\n");
    let bound = pci_device("0000:02:00.0", "0x144d\n", "0xa808\n", "0x010802\n");
    machine.file(&format!("{bound}/driver/bind"), "");
    let ahci = pci_device("0000:00:17.0", "0x8086\n", "0x282a\n", "0x010601\n");
    machine.file(&format!("{ahci}/driver/bind"), "");
    machine.file(&format!("{ahci}/remapped_nvme"), "1\n");
    let found = pci::silent_controllers(&machine.path("sys"));
    let addresses: Vec<&str> = found.iter().map(|c| c.address.as_str()).collect();
    assert_eq!(addresses, ["0000:00:0e.0", "0000:00:17.0", "0000:01:00.0"]);
    assert!(found[0].hint.unwrap().contains("VMD"));
    assert!(found[1].hint.unwrap().contains("RST"));
    assert_eq!((found[2].vendor, found[2].device, found[2].hint), (0x1000, 0x005b, None));
    assert_eq!(found[2].class_name, "RAID controller");
    assert!(pci::silent_controllers(&machine.path("nowhere")).is_empty());
}
