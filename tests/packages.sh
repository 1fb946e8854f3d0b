#!/usr/bin/env bash
# Installs the Debian packages that Helix is built, run and tested with: `tests/packages.sh [--list]`.
#
# Says what is missing before it installs it. Nothing that it installs starts by itself: services are held back while apt
# runs, and no cluster is made for PostgreSQL. Nothing that changes how the machine boots is installed.
set -euo pipefail

packages=(
    postgresql-15                                                                                  # embedded database
    qemu-system-x86 qemu-utils ovmf                                                                # virtual machines, image conversion
    xorriso mtools dosfstools gdisk fdisk e2fsprogs binutils systemd-boot-efi cpio zstd kmod      # deploy medium
    busybox-static xfsprogs                                                                        # ramdisk
    mmdebstrap                                                                                     # the OS image for demo and tests
    openssl                                                                                        # certificates of foreign services in tests
    libvirt-daemon libvirt-clients libvirt-daemon-driver-qemu python3-libvirt python3-venv         # somebody else's BMC in tests; zig for the agent
)
[ "${1:-}" = --list ] && { printf '%s\n' "${packages[@]}"; exit 0; }

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
echo "Debian packages to install: ${missing[*]}"
if [ "$(id -u)" != 0 ]; then
    echo "This needs root: sudo tests/packages.sh" >&2
    exit 1
fi

# Before postgresql-15: its package would make and start a cluster of its own.
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/helix.conf
# No package starts a service while this file says so; an own policy of the machine is kept.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    made_policy=yes
fi
leave() { [ $made_policy = yes ] && rm -f $policy; return 0; }
trap leave EXIT

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
if ! install "${missing[@]}" 2>/dev/null; then
    apt-get update -qq
    # One by one: a machine with packages of another release can refuse a set that it takes in turn.
    install "${missing[@]}" || for package in "${missing[@]}"; do install "$package"; done
fi
echo "Installed."
