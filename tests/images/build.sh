#!/bin/bash
# Builds the operating system image that demo and tests deploy: `tests/images/build.sh --out DIR [--cache DIR]`.
#
# Debian 12 with systemd and cloud-init: GPT, an EFI system partition with a unified kernel image, ext4 root last. Writes
# DIR/debian-12.raw.zst and DIR/debian-12.json (sizes and digests). Works as root in a chroot: no loop device is used, nothing is
# installed. Cached by the hash of what goes in.
#
# The image is for emulated test machines, where everything takes ten times as long as on a real one: it has no SSH server, no D-Bus,
# no resolver daemon, no drivers but those of QEMU's devices, and of cloud-init's modules those that a seed of ours uses.
set -euo pipefail
export LC_ALL=C
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1767225600} # 2026-01-01
umask 022

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
out= cache=$repository/build/images
die() { echo "image: $*" >&2; exit 1; }
say() { echo "image: $*"; }
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=${2:?}; shift 2 ;;
    --cache) cache=${2:?}; shift 2 ;;
    *) die "unknown argument $1; usage: build.sh --out DIR [--cache DIR]" ;;
    esac
done
[ -n "$out" ] || die "usage: build.sh --out DIR [--cache DIR]"
[ "$(id -u)" = 0 ] || die "building a Debian root needs root"
stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
for need in mmdebstrap:mmdebstrap mke2fs:e2fsprogs sfdisk:fdisk mcopy:mtools mkfs.vfat:dosfstools objcopy:binutils cpio:cpio zstd:zstd depmod:kmod apt-get:apt; do
    command -v "${need%%:*}" >/dev/null || die "the command ${need%%:*} is missing: apt-get install ${need##*:}"
done
[ -f $stub ] || die "$stub is missing: apt-get install systemd-boot-efi"
command -v busybox >/dev/null || die "busybox is missing: apt-get install busybox-static"

mkdir -p "$cache/debs" "$cache/nothing" "$out"
exec 9>"$cache/lock"
flock 9

# --- kernel: downloaded and unpacked. The cloud flavour has virtio and NVMe and boots fastest under emulation ------------
kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends:/ {print $2; exit}')
if [ -z "$kernel" ]; then
    apt-get update -qq
    kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ {print $2; exit}')
fi
[ -n "$kernel" ] || die "apt knows no linux-image-cloud-amd64: the image is built on Debian 12"
kernel_version=${kernel#linux-image-}
kernel_deb=$(cd "$cache/nothing" && apt-get -o APT::Sandbox::User=root download --print-uris "$kernel" | awk '{print $2}')

key=$( (echo "$kernel_deb"; cat "$here/build.sh" "$here/initrd-init" $stub) | sha256sum | cut -c1-24)
if [ -f "$cache/$key/debian-12.raw.zst" ]; then
    say "Debian 12 from the cache"
    cp -u --reflink=auto "$cache/$key"/debian-12.* "$out/"
    exit 0
fi
[ -f "$cache/debs/$kernel_deb" ] || (cd "$cache/debs" && apt-get -o APT::Sandbox::User=root -qq download "$kernel") ||
    { apt-get update -qq && (cd "$cache/debs" && apt-get -o APT::Sandbox::User=root -qq download "$kernel"); } ||
    die "the kernel could not be downloaded"
kernel_file=$(ls -t "$cache/debs/${kernel}"_*.deb | head -1)

work=$cache/work
rm -rf "$work"
mkdir -p "$work/kernel"
trap 'rm -rf "$work"' EXIT

# --- root file system ---------------------------------------------------------------------------------------------------
sources=/etc/apt/sources.list.d/debian.sources
[ -f $sources ] || sources=/etc/apt/sources.list
say "bootstrapping Debian 12 (about half a minute)"
# With a fixed date in the environment Python would mark its compiled files "check the source by hash at each import".
env -u SOURCE_DATE_EPOCH mmdebstrap --quiet --mode=root --variant=minbase \
    --include=systemd-sysv,udev,cloud-init,iproute2,curl,ca-certificates,kmod,e2fsprogs,fdisk,procps \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    bookworm "$work/root" "$sources" >"$work/mmdebstrap.log" 2>&1 ||
    { tail -20 "$work/mmdebstrap.log" >&2; die "mmdebstrap could not build the root"; }
root=$work/root
dpkg-deb -x "$kernel_file" "$work/kernel"
mkdir -p "$root/lib/modules"
cp -a "$work/kernel/lib/modules/$kernel_version" "$root/lib/modules/"
# A signature on a module is checked when it is loaded: seconds, and here nobody asks for it.
find "$root/lib/modules" -name '*.ko' -exec strip --strip-debug {} +
depmod -b "$root" "$kernel_version"
# Loading a driver for everything that an emulated chipset claims to have takes as long as all else that udev does.
ln -s /dev/null "$root/etc/udev/rules.d/80-drivers.rules"
printf 'virtio_net\n' >"$root/etc/modules-load.d/test.conf"

printf 'LABEL=helix-root / ext4 rw,noatime 0 1\nLABEL=HELIX-ESP /boot/efi vfat umask=0077,noauto 0 0\n' >"$root/etc/fstab"
mkdir -p "$root/boot/efi"
echo debian >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed" "$root/etc/resolv.conf"
echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf" # QEMU's own
# What a test machine does not need costs seconds at every emulated boot.
enable() { ln -sf "/lib/systemd/system/$1" "$root/etc/systemd/system/$2.wants/$1"; }
mkdir -p "$root"/etc/systemd/system/{multi-user.target,network-online.target,sockets.target}.wants
enable systemd-networkd.service multi-user.target
enable systemd-networkd.socket sockets.target
enable systemd-networkd-wait-online.service network-online.target
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer \
    systemd-pstore.service getty@tty1.service systemd-timesyncd.service systemd-firstboot.service dev-hugepages.mount \
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
    modprobe@.service proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-sysusers.service kmod-static-nodes.service systemd-journal-flush.service \
    systemd-tmpfiles-clean.timer cloud-init-hotplugd.socket systemd-logind.service getty-static.service \
    cloud-config.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
printf '[Journal]\nStorage=volatile\nForwardToConsole=no\n' >"$root/etc/systemd/journald.conf.d/test.conf"
cat >"$root/etc/cloud/cloud.cfg.d/05-test.cfg" <<'CFG'
# The modules that a seed of ours uses, in two stages of Python instead of three (cloud-config.service is masked).
cloud_init_modules: [seed_random, bootcmd, write-files, set_hostname, update_hostname, update_etc_hosts, users-groups]
cloud_config_modules: []
cloud_final_modules: [timezone, runcmd, scripts-vendor, scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, final-message, power-state-change]
CFG
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/debconf/*-old "$root"/var/log/*.log "$root"/usr/share/doc "$root"/usr/share/man

# --- kernel, initrd and command line in one EFI file ----------------------------------------------------------------------
initrd=$work/initrd
tree=$root/lib/modules/$kernel_version
mkdir -p "$initrd"/{bin,sbin,dev,proc,sys,root,lib/modules/"$kernel_version"}
install -m 755 "$here/initrd-init" "$initrd/init"
install -m 755 "$(command -v busybox)" "$initrd/bin/busybox"
if objdump -p "$initrd/bin/busybox" | grep -q NEEDED; then die "busybox is not static: apt-get install busybox-static"; fi
for name in sh mount modprobe findfs usleep sleep cat reboot switch_root; do ln -s busybox "$initrd/bin/$name"; done
ln -s ../bin/busybox "$initrd/sbin/modprobe"
take() {
    local file
    file=$(awk -F: -v want="$1" '{n=$1; sub(/.*\//, "", n); sub(/\.ko.*/, "", n); gsub(/-/, "_", n); if (n == want) print $1 $2}' "$tree/modules.dep")
    for file in $file; do
        install -D -m 644 "$tree/${file%:}" "$initrd/lib/modules/$kernel_version/${file%:}"
    done
}
for module in virtio_pci virtio_blk virtio_scsi sd_mod nvme ext4 crc32c_generic; do take $module; done
cp "$tree"/modules.{order,builtin} "$initrd/lib/modules/$kernel_version/"
depmod -b "$initrd" "$kernel_version" 2>/dev/null
rm -f "$initrd/lib/modules/$kernel_version"/modules.{*.bin,order,devname,symbols}
(cd "$initrd" && find . -mindepth 1 -printf '%P\0' | sort -z | cpio --quiet --null --create --format=newc --owner=0:0 --reproducible) | zstd -q -15 >"$work/initrd.zst"
printf 'root=LABEL=helix-root console=tty0 console=ttyS0,115200 loglevel=4 systemd.show_status=1' >"$work/cmdline"
objcopy \
    --add-section .osrel="$root/etc/os-release" --change-section-vma .osrel=0x20000 \
    --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
    --add-section .linux="$work/kernel/boot/vmlinuz-$kernel_version" --change-section-vma .linux=0x2000000 \
    --add-section .initrd="$work/initrd.zst" --change-section-vma .initrd=0x4000000 \
    $stub "$work/linux.efi"

# --- disk: 1 MiB, ESP, root, 1 MiB for the second partition table ---------------------------------------------------------
esp_mib=$(($(stat -c %s "$work/linux.efi") / 1048576 + 8))
used_mib=$(du -sm --apparent-size "$root" | cut -f1)
inodes=$(($(find "$root" | wc -l) + 20000))
root_mib=$((used_mib * 115 / 100 + 96)) # blocks are rounded up, and a first boot writes some megabytes before anything grows
mkfs.vfat -C -n HELIX-ESP -i 48454c59 --invariant "$work/esp.img" $((esp_mib * 1024)) >/dev/null
mmd -D s -i "$work/esp.img" ::/EFI ::/EFI/BOOT
mcopy -i "$work/esp.img" "$work/linux.efi" ::/EFI/BOOT/BOOTX64.EFI
mke2fs -q -t ext4 -L helix-root -U 5f2d0c1e-4a0b-4b8e-9d5c-48454c495801 -N $inodes -m 1 -J size=8 \
    -E hash_seed=5f2d0c1e-4a0b-4b8e-9d5c-48454c495802,lazy_itable_init=1 -d "$root" "$work/root.img" "${root_mib}M"
disk=$work/debian-12.raw
truncate -s $(((1 + esp_mib + root_mib + 1) * 1048576)) "$disk"
sfdisk --quiet "$disk" <<LAYOUT
label: gpt
label-id: 5F2D0C1E-4A0B-4B8E-9D5C-48454C495810
start=1MiB, size=${esp_mib}MiB, type=uefi, uuid=5F2D0C1E-4A0B-4B8E-9D5C-48454C495811, name="EFI"
start=$((1 + esp_mib))MiB, size=${root_mib}MiB, type=linux, uuid=5F2D0C1E-4A0B-4B8E-9D5C-48454C495812, name="root"
LAYOUT
dd if="$work/esp.img" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$work/root.img" of="$disk" bs=1M seek=$((1 + esp_mib)) conv=notrunc,sparse status=none

say "packing"
mkdir -p "$work/done"
zstd -q -9 -T2 --check "$disk" -o "$work/done/debian-12.raw.zst"
printf '{"name":"debian-12","file":"debian-12.raw.zst","compression":"zstd","size_bytes":%s,"sha256":"%s","raw_size_bytes":%s,"raw_sha256":"%s","kernel":"%s"}\n' \
    "$(stat -c %s "$work/done/debian-12.raw.zst")" "$(sha256sum "$work/done/debian-12.raw.zst" | cut -d' ' -f1)" \
    "$(stat -c %s "$disk")" "$(sha256sum "$disk" | cut -d' ' -f1)" "$kernel_version" >"$work/done/debian-12.json"
find "$cache" -mindepth 1 -maxdepth 1 -type d -name '????????????????????????' -exec rm -rf {} +
mv "$work/done" "$cache/$key"
cp --reflink=auto "$cache/$key"/debian-12.* "$out/"
say "$out/debian-12.raw.zst: $(($(stat -c %s "$out/debian-12.raw.zst") / 1000000)) MB, raw $(($(stat -c %s "$disk") / 1000000)) MB, kernel $kernel_version"
