//! What happens to tables.

use common::Random;

use super::disk::Disk;
use super::layout::{Layout, Style};
use super::pick;
use super::tables::{ENTRIES, put_entry, seal_gpt};

/// Types that entries get: those that mean something to somebody, and some that do not.
const KINDS: [u8; 16] = [
    0x00, 0x05, 0x07, 0x0c, 0x0f, 0x27, 0x42, 0x82, 0x83, 0x85, 0x8e, 0xa5, 0xee, 0xef, 0xfb, 0xfd,
];

/// Does one thing to the table of `disk` and says what.
pub fn random(disk: &Disk, layout: &Layout, random: &mut Random) -> String {
    match layout.style {
        Style::Gpt => gpt(disk, layout, random),
        _ => mbr(disk, layout, random),
    }
}

fn mbr(disk: &Disk, layout: &Layout, random: &mut Random) -> String {
    let slot = random.below(4);
    let entry = ENTRIES + slot * 16;
    let volume = pick(random, &layout.volumes);
    // The record of a logical partition, as far as there is one.
    let record = volume.start - layout.sector;
    let sectors = layout.size / layout.sector;
    match random.below(14) {
        0 => {
            let kind = pick(random, &KINDS);
            disk.put(entry + 4, &[kind]);
            format!("entry {slot} gets type {kind:#04x}")
        }
        1 => shift(disk, entry + 8, random),
        2 => shift(disk, entry + 12, random),
        3 => {
            disk.put(entry, &[0; 16]);
            format!("entry {slot} is gone")
        }
        4 => {
            disk.put(entry, &[1 << random.below(7)]);
            format!("entry {slot} has an odd boot flag")
        }
        5 => {
            disk.put(record, &[0; 512]);
            format!("the record at {record} is zero")
        }
        6 => {
            disk.put(record + ENTRIES + 32, b"old text of sixteen and more....");
            format!("text in the last entries of the record at {record}")
        }
        7 => {
            put_entry(disk, record, 1, 0x05, 0, sectors / 2);
            format!("the record at {record} leads to the first")
        }
        8 => shift(disk, record + ENTRIES + 8, random),
        9 => shift(disk, record + ENTRIES + 12, random),
        10 => shift(disk, record + ENTRIES + 24, random),
        11 => {
            let (start, count) = (random.below(sectors), random.below(sectors));
            let kind = pick(random, &KINDS);
            put_entry(disk, 0, slot, kind, start, count);
            format!("entry {slot} is {kind:#04x} from {start} with {count}")
        }
        12 => {
            let (start, count) = (random.below(1000), random.below(2000));
            put_entry(disk, record, 2 + random.below(2), 0x83, start, count);
            format!("a late entry in the record at {record}")
        }
        _ => cut(disk, layout, random),
    }
}

fn gpt(disk: &Disk, layout: &Layout, random: &mut Random) -> String {
    let sector = layout.sector;
    let last = layout.size / sector - 1;
    let header = if random.below(2) == 0 { sector } else { last * sector };
    let array = |header: u64| {
        let lba = disk.get(header + 72, 8);
        u64::from_le_bytes(lba.try_into().unwrap()).saturating_mul(sector)
    };
    let slot = random.below(layout.volumes.len() as u64 + 1);
    let sectors = layout.size / sector;
    match random.below(12) {
        0 => {
            disk.put(header + random.below(92), &random.next_u64().to_le_bytes()[..1]);
            format!("a byte of the header at {header} is wrong")
        }
        1 => {
            disk.mark(header, random);
            format!("the header at {header} is overwritten")
        }
        2 => {
            disk.put(sector, &[0; 512]);
            disk.put(last * sector, &[0; 512]);
            "both headers are gone".to_owned()
        }
        3 => {
            disk.put(510, &[0, 0]);
            "there is no protective MBR".to_owned()
        }
        4 => {
            let (start, count) = (random.below(sectors), random.below(sectors));
            put_entry(disk, 0, 1 + random.below(3), 0x83, start, count);
            format!("hybrid: {count} sectors from {start}")
        }
        5 | 6 => {
            // In both copies, or in one of them.
            let value = random.below(sectors + sectors / 8);
            let field = 32 + 8 * random.below(2);
            let both = random.below(3) > 0;
            for own in [sector, last * sector] {
                let at = array(own);
                if (both || own == header) && at < disk.size() {
                    disk.put(at + slot * 128, &[9; 16]);
                    disk.put(at + slot * 128 + field, &value.to_le_bytes());
                    seal_gpt(disk, own, sector);
                }
            }
            format!("slot {slot}, byte {field}: {value} (both: {both})")
        }
        7 => {
            for own in [sector, last * sector] {
                let at = array(own);
                if at < disk.size() {
                    disk.put(at + slot * 128, &[0; 128]);
                    seal_gpt(disk, own, sector);
                }
            }
            format!("slot {slot} is empty")
        }
        8 => {
            let value = random.below(2 * sectors);
            disk.put(header + 40 + 8 * random.below(2), &value.to_le_bytes());
            seal_gpt(disk, header, sector);
            format!("the header at {header} has {value} as a bound")
        }
        9 => {
            disk.mark(array(header).min(layout.size) + random.below(16) * 512, random);
            format!("entries of the header at {header} are overwritten")
        }
        10 => {
            disk.put(ENTRIES + 4, &[pick(random, &KINDS)]);
            "the protective entry has another type".to_owned()
        }
        _ => cut(disk, layout, random),
    }
}

/// Moves a number of 32 bits a little, or far.
fn shift(disk: &Disk, at: u64, random: &mut Random) -> String {
    let old = u32::from_le_bytes(disk.get(at, 4).try_into().unwrap());
    let by = pick(random, &[1, 8, 2048, u32::MAX / 2]);
    let new = if random.below(2) == 0 { old.wrapping_add(by) } else { old.wrapping_sub(by) };
    disk.put(at, &new.to_le_bytes());
    format!("the number at {at} is {new} instead of {old}")
}

/// The end of the disk is gone, as after a copy to a smaller one.
fn cut(disk: &Disk, layout: &Layout, random: &mut Random) -> String {
    let most = pick(random, &[34, 600]);
    let sectors = 1 + random.below(most);
    let size = disk.size().saturating_sub(sectors * layout.sector).max(1 << 20);
    disk.resize(size);
    format!("cut to {size} bytes")
}
