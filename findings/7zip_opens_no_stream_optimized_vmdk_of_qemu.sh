#!/bin/bash
# qemu-img 7.2 and 7-Zip 26.02 (Debian 12): a stream-optimised VMDK that `qemu-img convert` writes is "not an archive" to 7-Zip, whatever the size of
# the disk, while 7-Zip opens the sparse VMDK that qemu-img makes of the same disk. The streams differ from those of VMware: version 3, the grain
# directory in front, no footer and no markers before grain tables, and of the last grain only the bytes that the disk has (VMware's "Virtual Disk
# Format 5.0": the directory comes at the end, a marker before each table, grains of full size).
# Whoever sends a disk as such a file may find that the other side cannot open it. Lifeboat writes streams with the directory at the end, and a test
# opens them with 7-Zip and with qemu-img.
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'rm -rf "$work"' EXIT
apt-get -q -q -o APT::Sandbox::User=root download 7zip=22.01+really26.02+dfsg-0+deb12u1 qemu-utils=1:7.2+dfsg-7+deb12u18+b3 \
    libaio1=0.3.113-4 liburing2=2.3-3 libglib2.0-0=2.74.6-2+deb12u9 libgnutls30=3.7.9-2+deb12u7 libnettle8=3.8.1-2 libhogweed6=3.8.1-2 \
    libp11-kit0=0.24.1-2 libidn2-0=2.3.3-1+b1 libunistring2=1.0-2 libtasn1-6=4.19.0-2+deb12u1 libnuma1=2.0.16-1 libzstd1=1.5.4+dfsg2-5+deb12u1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export LD_LIBRARY_PATH="$work/root/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu"

qemu-img() { root/usr/bin/qemu-img "$@"; }
opens() { root/usr/bin/7zz x -y -o"$1.out" "$1" >"$1.said" 2>&1 && cmp -s "$1".out/* disk; }
head -c 1M /dev/urandom >disk
for format in monolithicSparse streamOptimized; do
    qemu-img convert -O vmdk -o subformat=$format disk $format.vmdk || exit 2
    qemu-img convert -O raw $format.vmdk back && cmp -s back disk || exit 2
    if opens $format.vmdk; then echo "$format: opened"; else echo "$format: $(grep -m 1 'Cannot open' $format.vmdk.said)"; fi
done | tee said
grep -q '^monolithicSparse: opened' said && grep -q '^streamOptimized: Cannot open\|^streamOptimized: Open ERROR: Cannot open' said
