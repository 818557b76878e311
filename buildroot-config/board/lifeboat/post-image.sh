#!/bin/bash
# Called by Buildroot with its images folder: makes lifeboat.iso there, with the script that the Debian medium uses too.
set -euo pipefail
images=$1
project=$(cd "$(dirname "$0")/../../.." && pwd)

# The loaders are Buildroot's own, not signed: Secure Boot must be off, or they must be signed with a key of one's own.
KERNEL=$images/bzImage INITRAMFS=$images/rootfs.cpio.zst \
    GRUB_PC=$TARGET_DIR/usr/lib/grub/i386-pc GRUB_MKIMAGE=$HOST_DIR/bin/grub-mkimage \
    EFI_LOADERS=$images/efi-part/EFI/BOOT SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} \
    "$project/scripts/assemble-iso" "$images/lifeboat.iso"
