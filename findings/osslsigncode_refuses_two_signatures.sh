#!/bin/bash
# osslsigncode 2.5 (Debian 12) says "Invalid signature" and fails for an EFI program that carries two signatures one behind
# the other in its certificate table (two WIN_CERTIFICATE entries, as the UEFI specification allows and firmware accepts).
# Debian's shim has been signed so since Microsoft changed its CA: by "Microsoft Corporation UEFI CA 2011" and "Microsoft UEFI
# CA 2023", since machines of 2026 know only one of them. sbverify (sbsigntool) lists both.
# Whoever checks a boot medium with osslsigncode takes a sound shim for a broken one, or, where only the first entry is
# looked at, does not notice that the second is missing. Lifeboat's build lists every signature by sbverify (scripts/check-shim).
# Seen: osslsigncode "Invalid signature", exit status 1; sbverify "signature 1" and "signature 2".
# Exit status: 0 as described, 1 it has changed, 2 the packages cannot be had.
set -u
work=$(mktemp -d) && cd "$work" || exit 2
trap 'rm -rf "$work"' EXIT
apt-get -q -q -o APT::Sandbox::User=root download osslsigncode=2.5-4 sbsigntool=0.9.4-3.1 \
    shim-signed=1.51~1+deb12u1+16.1-2~deb12u1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" root || exit 2; done
shim=$(find root -name shimx64.efi.signed)

root/usr/bin/osslsigncode verify "$shim" >said 2>&1
status=$?
grep -m 1 'Invalid signature' said
signatures=$(root/usr/bin/sbverify --list "$shim" 2>/dev/null | grep -c '^signature ')
echo "osslsigncode: exit status $status; sbverify: $signatures signatures"
[ $status = 1 ] && grep -q 'Invalid signature' said && [ "$signatures" = 2 ]
