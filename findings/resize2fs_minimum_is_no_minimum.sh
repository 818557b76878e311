#!/bin/bash
# e2fsprogs 1.47.0 (Debian 12): for an ext4 of 3 GiB with the usual features (flex_bg) and 2 GiB of files, `resize2fs -P`
# calls its present size the least that it can have, and `resize2fs -M` ends with 0 and "Nothing to do!"; a smaller size is refused. `resize2fs -f`
# shrinks the same filesystem to within 2 % of what is used, and `e2fsck -fn` finds nothing wrong with it.
# So a program that asks `-P` whether an image fits a smaller disk says no where it does. Lifeboat reckons the least size itself
# and uses -f on a view of the image.
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'rm -rf "$work"' EXIT
apt-get -q -q -o APT::Sandbox::User=root download e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export PATH="$work/root/sbin:$work/root/usr/sbin:$PATH"
export LD_LIBRARY_PATH="$work/root/lib/x86_64-linux-gnu:$work/root/usr/lib/x86_64-linux-gnu"

mkdir tree
for at in $(seq 2048); do head -c 1M /dev/zero | tr '\0' x >"tree/$at"; done
truncate -s 3G volume && mke2fs -q -t ext4 -d tree volume || exit 2
rm -r tree
estimate=$(resize2fs -P volume 2>/dev/null | sed 's/.* //')
shrunk=$(resize2fs -M volume 2>&1)
refused=$(resize2fs volume 570000 2>&1)
forced=$(resize2fs -f volume 560000 >/dev/null 2>&1 && e2fsck -fn volume >/dev/null 2>&1 && echo sound)
echo "-P: $estimate of 786432 blocks; -M: $(echo "$shrunk" | tail -1); 570000: $(echo "$refused" | tail -1); -f 560000: $forced"
[ "$estimate" = 786432 ] && [[ $shrunk == *"Nothing to do"* ]] && [[ $refused == *"smaller than minimum"* ]] && [ "$forced" = sound ]
