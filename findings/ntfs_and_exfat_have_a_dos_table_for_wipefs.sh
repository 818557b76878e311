#!/bin/bash
# util-linux 2.38.1 (Debian 12): `wipefs` lists a DOS partition table on every volume that mkntfs or mkfs.exfat has just
# made; `blkid -p` of the same version says so of the exFAT (PTTYPE="dos" beside TYPE="exfat") and not of the NTFS. The boot
# sectors of both end with 55 AA, and where an MBR has its entries these tools write zeros, which libblkid takes for a table
# without partitions.
# So "wipefs -n names one signature" is no test for a volume that was made anew, and a program that erases what wipefs
# lists takes two bytes from the boot sector of a sound NTFS. Lifeboat names these two bytes as a table as well when it looks
# for leftovers, and believes them only when an entry says something (signature/checks.rs, inspect/foreign.rs).
# Seen: NTFS `0x3 ntfs` and `0x1fe dos`, no PTTYPE; exFAT `0x3 exfat` and `0x1fe dos`, PTTYPE dos.
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'rm -rf "$work"' EXIT
apt-get -q -q -o APT::Sandbox::User=root download util-linux=2.38.1-5+deb12u3 libblkid1=2.38.1-5+deb12u3 \
    ntfs-3g=1:2022.10.3-1+deb12u4 libntfs-3g89=1:2022.10.3-1+deb12u4 exfatprogs=1.2.0-1+deb12u1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export PATH="$work/root/sbin:$work/root/usr/sbin:$PATH"
export LD_LIBRARY_PATH="$work/root/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu"

changed=0
judge() {
    local kind=$1 expected=$2 listed probed
    listed=$(wipefs --noheadings -n -O TYPE volume | tr -d ' ' | sort | tr '\n' ' ')
    probed=$(blkid -p -o value -s PTTYPE volume)
    echo "$kind: wipefs lists $listed; blkid says PTTYPE='$probed'"
    [ "$listed" = "$(printf '%s\n' dos "$kind" | sort | tr '\n' ' ')" ] && [ "$probed" = "$expected" ] || changed=1
}
truncate -s 80M volume && mkntfs -q -F -f volume 2>/dev/null || exit 2
judge ntfs ''
rm volume && truncate -s 80M volume && mkfs.exfat volume >/dev/null || exit 2
judge exfat dos
exit $changed
