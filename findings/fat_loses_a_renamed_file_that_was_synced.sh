#!/bin/bash
# Linux 6.1 (Debian 12), vfat: write a file under a temporary name, fsync it, rename it, fsync the folder - what makes a file
# outlast a power cut on other filesystems - leaves an empty file after a power cut. A FAT folder holds where a file begins
# and how long it is; the new name is a new entry with neither, and the folder's fsync writes it as it is: the file's own
# fsync, once more and under its last name, puts them there (vfat_rename in fs/fat/namei_vfat.c, fat_file_fsync).
# Backup programs that store this way, as restic does (internal/backend/local, Save), lose what they stored last on a stick
# that is pulled. Lifeboat syncs files once more after the rename on FAT (store/local.rs); the test that cuts the power there
# is tests/medium/power_cut_places.rs.
# Seen, by mtools after QEMU was killed: 0 bytes after the folder's fsync, 65536 after the file's.
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
machine=
trap 'kill $machine 2>/dev/null; rm -rf "$work"' EXIT
kernel=6.1.0-57-amd64
command -v qemu-system-x86_64 cpio mkfs.fat >/dev/null || { echo "needs qemu-system-x86, cpio and dosfstools"; exit 2; }
apt-get -q -q -o APT::Sandbox::User=root download linux-image-$kernel=6.1.192-3 busybox-static=1:1.35.0-4+deb12u1+b1 \
    mtools=4.0.33-1+really4.0.32-1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export PATH="$work/root/usr/bin:$PATH"

mkdir -p initrd/bin initrd/dev initrd/mnt
cp root/bin/busybox initrd/bin/
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk fat vfat nls_cp437 nls_ascii; do
    find root/lib/modules -name $module.ko -exec cp {} initrd/ \;
done
cat >initrd/init <<'INIT'
#!/bin/busybox sh
busybox mount -t devtmpfs none /dev
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk fat vfat nls_cp437 nls_ascii; do
    busybox insmod /$module.ko 2>/dev/null
done
busybox mount -t vfat -o iocharset=ascii /dev/vda /mnt
busybox dd if=/dev/zero of=/mnt/unfinish.ed bs=64k count=1 conv=fsync 2>/dev/null
busybox mv /mnt/unfinish.ed /mnt/pack
busybox sync /mnt
[ "$AGAIN" ] && busybox sync /mnt/pack
echo "power off now"
busybox sleep 600
INIT
chmod +x initrd/init
(cd initrd && find . | cpio --quiet -o -H newc) >initrd.cpio

# cut AGAIN: length of the file on the disk after the power was cut.
cut() {
    rm -f disk console
    mkfs.fat -C disk 65536 >/dev/null
    timeout 300 qemu-system-x86_64 -accel tcg -m 256 -display none -monitor none -serial file:console -no-reboot \
        -drive if=virtio,format=raw,cache=writethrough,file=disk \
        -kernel root/boot/vmlinuz-$kernel -initrd initrd.cpio -append "console=ttyS0 quiet AGAIN=$1" &
    machine=$!
    for _ in $(seq 300); do
        grep -q "power off now" console 2>/dev/null && break
        sleep 1
    done
    kill -KILL $machine $(pgrep -P $machine) 2>/dev/null
    wait $machine 2>/dev/null
    grep -q "power off now" console || { cat console; exit 2; }
    mdir -i disk ::/pack | awk '$1 == "pack" || $1 == "PACK" { print $2 }'
}

before=$(cut '') || exit 2
after=$(cut 1) || exit 2
echo "length after the rename: $before; after one more fsync of the file: $after"
[ "$before" = 0 ] && [ "$after" = 65536 ]
