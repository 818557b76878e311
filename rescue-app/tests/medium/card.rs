//! A card that is swapped in its reader after it was agreed to overwrite it.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::qemu::{BOOT, Firmware, Machine, REACTION, key};
use crate::{empty_disk, iso};

/// The other card has the reader's serial number as well, and the same size.
#[test]
fn another_card_in_the_same_reader_is_not_overwritten() {
    let (source, agreed, other) = (empty_disk(64), empty_disk(128), empty_disk(128));
    source.as_file().write_all_at(b"something to clone", 5 << 20).unwrap();
    other.as_file().write_all_at(b"somebody's pictures", 7 << 20).unwrap();
    let before = fs::read(other.path()).unwrap();
    let mut machine = Machine::new(Firmware::Bios)
        .cd(&iso())
        .disk(source.path(), "SOURCE")
        .card_reader(agreed.path(), "READER")
        .start();
    machine.wait_for("Main menu", BOOT);
    machine.send("l");
    machine.wait_for("READER", BOOT);
    machine.wait_for("SOURCE", BOOT);
    machine.send(key::DOWN);
    machine.send(key::ENTER);
    machine.wait_for("it is the disk to clone", REACTION);
    machine.send(key::ENTER);
    machine.wait_for("what and how", REACTION);
    machine.send(key::ENTER);
    machine.wait_for("To be written", REACTION);
    machine.send(key::ENTER);
    machine.wait_for("the last question", REACTION);
    machine.monitor.swap_card("READER", other.path());
    machine.send("ader\r");
    machine.wait_for("Clone: failed", REACTION);
    machine.wait_for("It ended before the target was written", REACTION);
    let said = machine.screen();
    assert!(said.contains("nothing was written to it"), "{said}");
    assert_eq!(machine.monitor.written("READER").operations, 0, "{said}");
    assert!(fs::read(other.path()).unwrap() == before);
}
