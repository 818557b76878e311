//! What the firmware of this computer will refuse to start is told. Keys are made by `openssl`, programs signed by
//! `sbsign`, the firmware's lists made by `sbsiglist`.

use std::fs;
use std::path::Path;

use common::{noise, tool};
use serde_json::Value;

use crate::boot_entries::{Firmware, esp_disk, plan, restore, target};
use crate::support::Bench;

/// `EFI_IMAGE_SECURITY_DATABASE_GUID`, and shim's `SHIM_LOCK_GUID`.
const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
const SHIM_LOCK: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";
const OWNER: &str = "77fa9abd-0359-4d32-bd60-28f4e78f784b";

/// An authority called `name`, and somebody whose key it vouches for.
fn authority(bench: &Bench, name: &str) {
    let file = |kind: &str| bench.arg(&format!("{name}.{kind}"));
    let subject = format!("/O=Test/CN={name}");
    let new = ["-newkey", "rsa:2048", "-nodes"];
    let (ca, ca_key) = (file("ca"), file("ca-key"));
    let made = ["req", "-x509", "-keyout", &ca_key, "-out", &ca, "-subj", &subject];
    tool("openssl", &[&made[..], &new].concat());
    let (key, asked) = (file("key"), file("csr"));
    let made = ["req", "-keyout", &key, "-out", &asked, "-subj", "/CN=A signer"];
    tool("openssl", &[&made[..], &new].concat());
    let given = ["-CA", &ca, "-CAkey", &ca_key, "-out", &file("pem")];
    tool("openssl", &[&["x509", "-req", "-in", &asked][..], &given].concat());
    tool("openssl", &["x509", "-in", &ca, "-outform", "der", "-out", &file("der")]);
}

/// A list of a firmware with one entry.
fn list(bench: &Bench, kind: &str, file: &Path) -> Vec<u8> {
    let list = bench.arg("list");
    let args = ["--owner", OWNER, "--type", kind, "--output", &list, file.to_str().unwrap()];
    tool("sbsiglist", &args);
    fs::read(list).unwrap()
}

fn of_authority(bench: &Bench, name: &str) -> Vec<u8> {
    list(bench, "x509", &bench.path(&format!("{name}.der")))
}

/// A program for 64-bit PCs with a section of code and one of generations (Microsoft, "PE Format").
fn program(seed: u64, generations: &str) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let long = u32::to_le_bytes;
    put(0, b"MZ");
    put(0x3c, &long(0x40));
    put(0x40, b"PE\0\0\x64\x86\x02\0");
    put(0x54, &[240, 0, 0x2e, 2]);
    // The optional header: PE32+, entry point, alignments, sizes of image and headers, an EFI application.
    put(0x58, &[0x0b, 2]);
    put(0x68, &long(0x1000));
    put(0x78, &long(0x1000));
    put(0x7c, &long(0x200));
    put(0x90, &long(0x3000));
    put(0x94, &long(0x400));
    put(0x9c, &[10, 0]);
    put(0xc4, &long(16));
    for (number, name) in [".text", ".sbat"].into_iter().enumerate() {
        let at = 0x148 + number * 40;
        let place = u32::try_from(number).unwrap();
        put(at, name.as_bytes());
        put(at + 8, &long(0x200));
        put(at + 12, &long(0x1000 * (place + 1)));
        put(at + 16, &long(0x200));
        put(at + 20, &long(0x400 + 0x200 * place));
        put(at + 36, &long(0x6000_0020));
    }
    bytes.extend(noise(seed, 0x200));
    let mut text = generations.as_bytes().to_vec();
    text.resize(0x200, 0);
    bytes.extend(text);
    bytes
}

fn signed(bench: &Bench, program: &[u8], by: &[&str]) -> Vec<u8> {
    let (from, to) = (bench.arg("unsigned.efi"), bench.arg("signed.efi"));
    fs::write(&from, program).unwrap();
    for name in by {
        let (key, pem) = (bench.arg(&format!("{name}.key")), bench.arg(&format!("{name}.pem")));
        tool("sbsign", &["--key", &key, "--cert", &pem, "--output", &to, &from]);
        fs::copy(&to, &from).unwrap();
    }
    fs::read(from).unwrap()
}

/// What is signed of a program, by its signature.
fn digest(bench: &Bench, program: &[u8]) -> Vec<u8> {
    let (file, signature) = (bench.arg("with.efi"), bench.arg("signature"));
    fs::write(&file, program).unwrap();
    tool("sbattach", &["--detach", &signature, &file]);
    let parts = tool("openssl", &["asn1parse", "-inform", "der", "-in", &signature]);
    let mut octets = parts.lines().filter_map(|line| line.split_once("[HEX DUMP]:"));
    let (_, digits) = octets.find(|(_, digits)| digits.trim().len() == 64).unwrap();
    let digits = digits.trim().as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// A firmware with Secure Boot, its keys and what it refuses.
fn firmware(bench: &Bench, db: &[u8], dbx: &[u8]) -> Firmware {
    let firmware = Firmware::new(bench, "firmware");
    let attributes = [0x27, 0, 0, 0];
    for (name, guid, data) in [("db", DATABASE, db), ("dbx", DATABASE, dbx)] {
        let path = firmware.0.join(format!("{name}-{guid}"));
        fs::write(path, [&attributes, data].concat()).unwrap();
    }
    firmware.with("SecureBoot", &[1])
}

/// The files that are refused and why, by the plan of restoring the newest image.
fn refused(bench: &Bench, firmware: &Firmware) -> Vec<(String, String)> {
    let onto = target(bench, 64);
    let plan = plan(bench, firmware, onto.name(), &[]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = plan["booting"]["refused"].as_array().cloned().unwrap_or_default();
    found.iter().map(|it| (text(&it["file"]), text(&it["why"]))).collect()
}

fn names(refused: &[(String, String)]) -> Vec<&str> {
    refused.iter().map(|(name, _)| name.as_str()).collect()
}

const BOOTMGFW: &str = "EFI/Microsoft/Boot/bootmgfw.efi";
const IN_FIRMWARE: &str = "\\EFI\\Microsoft\\Boot\\bootmgfw.efi";

#[test]
fn who_signed_is_held_against_the_keys_of_the_firmware() {
    let bench = Bench::new();
    for name in ["old", "new"] {
        authority(&bench, name);
    }
    let (old, new) = (of_authority(&bench, "old"), of_authority(&bench, "new"));
    let capture = |files: &[(&str, Vec<u8>)]| {
        esp_disk(&bench, files);
        bench.run(&["capture", &bench.arg("disk")]).ended(0);
    };
    let plain = program(1, "");
    capture(&[(BOOTMGFW, signed(&bench, &plain, &["new"]))]);
    let found = refused(&bench, &firmware(&bench, &old, &[]));
    assert_eq!(names(&found), [IN_FIRMWARE]);
    assert!(
        found[0].1.contains("signed under new") && found[0].1.contains("only old"),
        "{found:?}"
    );
    assert_eq!(refused(&bench, &firmware(&bench, &[&old[..], &new].concat(), &[])), []);
    // Switched off it refuses nothing.
    let off = firmware(&bench, &old, &[]).with("SecureBoot", &[0]);
    assert_eq!(refused(&bench, &off), []);

    // Two signatures: one that is trusted is enough, one that is refused too many.
    let twice = signed(&bench, &plain, &["old", "new"]);
    let hash = digest(&bench, &twice);
    capture(&[(BOOTMGFW, twice)]);
    assert_eq!(refused(&bench, &firmware(&bench, &old, &[])), []);
    assert_eq!(refused(&bench, &firmware(&bench, &new, &[])), []);
    let found = refused(&bench, &firmware(&bench, &new, &old));
    assert!(found[0].1.contains("under old, which the firmware refuses"), "{found:?}");

    // By its hash it is refused whoever signed it, and trusted where nobody did.
    fs::write(bench.path("hash"), hash).unwrap();
    let hash = list(&bench, "sha256", &bench.path("hash"));
    let found = refused(&bench, &firmware(&bench, &new, &hash));
    assert!(found[0].1.contains("(dbx) has it"), "{found:?}");
    capture(&[(BOOTMGFW, plain)]);
    let found = refused(&bench, &firmware(&bench, &new, &[]));
    assert!(found[0].1.contains("not signed"), "{found:?}");
    assert_eq!(refused(&bench, &firmware(&bench, &hash, &[])), []);
}

#[test]
fn what_shim_starts_is_shims_business_and_what_is_too_old_is_told() {
    let bench = Bench::new();
    for name in ["vendor", "third party"] {
        authority(&bench, name);
    }
    let db = of_authority(&bench, "third party");
    let shim = signed(&bench, &program(1, "sbat,1\nshim,2,x\n"), &["third party"]);
    let grub = signed(&bench, &program(2, "sbat,1\ngrub,3,x\n"), &["vendor"]);
    let files = [("EFI/a/shimx64.efi", shim), ("EFI/a/grubx64.efi", grub)];
    esp_disk(&bench, &files);
    bench.run(&["capture", &bench.arg("disk")]).ended(0);
    assert_eq!(refused(&bench, &firmware(&bench, &db, &[])), []);
    let dbx = of_authority(&bench, "vendor");
    assert_eq!(names(&refused(&bench, &firmware(&bench, &db, &dbx))), ["\\EFI\\a\\grubx64.efi"]);

    let level = |text: &str| {
        let firmware = firmware(&bench, &db, &[]);
        let path = firmware.0.join(format!("SbatLevelRT-{SHIM_LOCK}"));
        fs::write(path, [&[6, 0, 0, 0], text.as_bytes()].concat()).unwrap();
        refused(&bench, &firmware)
    };
    assert_eq!(level("sbat,1,2021030218\nshim,2\ngrub,3\n"), []);
    let found = level("sbat,1,2024010900\nshim,4\ngrub,3\n");
    assert_eq!(names(&found), ["\\EFI\\a\\shimx64.efi"]);
    assert!(found[0].1.contains("its shim is of generation 2"), "{found:?}");
    assert_eq!(names(&level("grub,4\n")), ["\\EFI\\a\\grubx64.efi"]);

    // It ends nothing, and is repeated in the result.
    let firmware = firmware(&bench, &dbx, &[]);
    let onto = target(&bench, 64);
    let report = restore(&bench, &firmware, onto.name(), &[]);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("Secure Boot of this computer will not start"), "{warnings}");
}
