#!/bin/bash
# xfsdump 3.1.11 (Debian 12), the tool that XFS is backed up with: what `xfsdump | xfsrestore` makes has all that files have (flags,
# attributes, hard links, holes), but their times are cut to whole seconds, with not a word and exit status 0, though the format of the dump
# holds nanoseconds (bstat_t in common/content_inode.h) and XFS does too; the program sets them by utime(2). Programs
# that compare times afterwards (make, rsync without --modify-window, backup programs) take every file for changed. An XFS gets smaller only by being made anew, for which this is the usual way; Lifeboat copies the files itself
# (resize/by_files/), and a test compares their times to the nanosecond (tests/cli/anew.rs).
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had, or no XFS can be mounted here (it takes root).
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'umount from to 2>/dev/null; rm -rf "$work"' EXIT
apt-get -q -q -o APT::Sandbox::User=root download xfsdump=3.1.11-0.1 libattr1=1:2.5.1-4 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export PATH="$work/root/sbin:$work/root/usr/sbin:$PATH" LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"

mkdir from to
for volume in from to; do
    truncate -s 400M $volume.xfs && mkfs.xfs -q $volume.xfs && mount -o loop $volume.xfs $volume || exit 2
done
echo text >from/file
touch -d "2024-05-06 07:08:09.987654321" from/file
xfsdump -J -F -v silent - "$work/from" 2>/dev/null | xfsrestore -J -F -v silent - "$work/to" 2>/dev/null
status="${PIPESTATUS[*]}"
was=$(stat -c %y from/file) is=$(stat -c %y to/file)
echo "exit status $status; modified: $was, restored: $is"
[ "$status" = "0 0" ] && [[ $was == *09.987654321* ]] && [[ $is == *09.000000000* ]] && cmp -s from/file to/file
