#!/bin/bash
# ntfs-3g 2022.10.3 (Debian 12): `ntfsresize --size 400M` ends with 0 and writes no backup of the boot sector anywhere in the
# smaller volume; `--size 400000000` (plain bytes, a multiple of the sector size) writes it into the last sector of the size
# that was asked for. Both leave the volume a cluster shorter than asked.
# So a partition that is cut to the new size after the first has no backup boot sector at its end, `ntfsfix -n` calls the
# alternate boot sector bad, and a tool that mends a boot sector from its backup finds none. Lifeboat gives the size in plain bytes.
# Seen: after `400000000` the last sector is the first; after `400M`, the same size, no sector behind the first is.
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'rm -rf "$work"' EXIT
apt-get -q -q -o APT::Sandbox::User=root download ntfs-3g=1:2022.10.3-1+deb12u4 libntfs-3g89=1:2022.10.3-1+deb12u4 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export PATH="$work/root/sbin:$work/root/usr/sbin:$work/root/bin:$work/root/usr/bin:$PATH"
export LD_LIBRARY_PATH="$work/root/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu"

# copies SIZE: how many copies of the boot sector a volume of 1 GiB has behind its first sector, up to 400,000,000 bytes, once
# it was given SIZE, and whether the last sector there is one.
copies() {
    rm -f volume && truncate -s 1G volume && mkntfs -q -F -f volume 2>/dev/null || exit 2
    ntfsresize --force --force --no-progress-bar --size "$1" volume >/dev/null || exit 2
    truncate -s 400000000 volume
    python3 - <<'PYTHON'
data = open("volume", "rb").read()
boot = data[:512]
found = [at for at in range(512, len(data), 512) if data[at:at + 512] == boot]
print(len(found), "last" if found and found[-1] == len(data) - 512 else "none at the end")
PYTHON
}

with_unit=$(copies 400M)
in_bytes=$(copies 400000000)
echo "--size 400M: $with_unit; --size 400000000: $in_bytes"
[ "$with_unit" = "0 none at the end" ] && [ "$in_bytes" = "1 last" ]
