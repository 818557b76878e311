#!/bin/bash
# restic 0.14.0 (Debian 12): `restic unlock` looks at each lock of its own machine by sending SIGHUP to the process that
# owns it, to see whether that exists (`processExists` in internal/restic/lock_unix.go). restic ignores the signal; any other program that
# keeps locks in restic's format on the same machine is ended by it in the middle of its work, for POSIX ends what does not
# expect a SIGHUP. kill(2) knows signal 0 for this question.
# So `restic unlock` hung up on a capture of Lifeboat's. Lifeboat minds a SIGHUP only when the kernel sends it, as it does for
# a terminal that is gone (command/signals.rs).
# Seen: a `restic backup` that waits for its input gets "SIGHUP {si_signo=SIGHUP, si_code=SI_USER, …}" from `restic unlock`.
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'kill $backup 2>/dev/null; rm -rf "$work"' EXIT
backup=
apt-get -q -q -o APT::Sandbox::User=root download restic=0.14.0-1+b5 strace=6.1-0.1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
export PATH="$work/root/usr/bin:$PATH" LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"
export RESTIC_PASSWORD=tides RESTIC_REPOSITORY=$work/repository RESTIC_CACHE_DIR=$work/cache

restic version
restic init -q || exit 2
mkfifo input
strace -f -q -o signals -e trace=none -e signal=SIGHUP restic backup -q --stdin <input &
backup=$!
exec 3>input
for _ in $(seq 100); do [ -n "$(ls repository/locks)" ] && break; sleep 0.1; done
restic unlock
sleep 1
exec 3>&-
wait $backup
cat signals
grep -q 'SIGHUP {si_signo=SIGHUP, si_code=SI_USER' signals
