#!/bin/bash
# Builds the deploy ISO: `agent/ramdisk/build.sh --agent PATH --out DIR [--cache DIR] [--firmware DIR]`.
#
# Writes DIR/helix-deploy.iso and DIR/helix-deploy.json. Kernel and tools come from Debian packages that are downloaded and
# unpacked, never installed: nothing that boots or starts by itself gets onto the machine that builds. Needs apt, xorriso,
# mtools, dosfstools, binutils, systemd-boot-efi, cpio, zstd and kmod. README.md says what is inside.
set -euo pipefail
export LC_ALL=C
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1767225600} # 2026-01-01: fixed, so that the same input gives the same bytes
umask 022

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
agent= out= cache=$repository/build/ramdisk firmware=/lib/firmware
die() { echo "ramdisk: $*" >&2; exit 1; }
say() { echo "ramdisk: $*"; }
while [ $# -gt 0 ]; do
    case $1 in
    --agent) agent=${2:?}; shift 2 ;;
    --out) out=${2:?}; shift 2 ;;
    --cache) cache=${2:?}; shift 2 ;;
    --firmware) firmware=${2:?}; shift 2 ;;
    *) die "unknown argument $1; usage: build.sh --agent PATH --out DIR [--cache DIR] [--firmware DIR]" ;;
    esac
done
[ -n "$agent" ] && [ -n "$out" ] || die "usage: build.sh --agent PATH --out DIR [--cache DIR] [--firmware DIR]"
[ -f "$agent" ] || die "no agent at $agent: build it first (agent/build.sh)"
agent=$(realpath "$agent")

# An iDRAC reads its media with about 12 MB/s; 120 MB are ten seconds of every boot, and the size that was agreed on.
uki_limit_bytes=$((120 * 1000 * 1000))
stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
for need in xorriso:xorriso mcopy:mtools mkfs.vfat:dosfstools objcopy:binutils cpio:cpio zstd:zstd depmod:kmod apt-get:apt; do
    command -v "${need%%:*}" >/dev/null || die "the command ${need%%:*} is missing: apt-get install ${need##*:}"
done
[ -f $stub ] || die "$stub is missing: apt-get install systemd-boot-efi"

# Packages whose programs and libraries go in (see `programs` below); the kernel's is added by its versioned name.
packages=(busybox-static e2fsprogs libext2fs2 libcom-err2 libblkid1 libuuid1 xfsprogs libdevmapper1.02.1 libedit2 libbsd0
    libmd0 libinih1 liburcu8 libselinux1 libpcre2-8-0 libudev1 libtinfo6 btrfs-progs liblzo2-2 libzstd1 zlib1g efibootmgr
    libefiboot1 libefivar1 libpopt0 mdadm gdisk libncursesw6 libstdc++6 fdisk libfdisk1 libmount1 libreadline8
    libsmartcols1 util-linux dosfstools libc6 libgcc-s1)
programs=(sbin/e2fsck sbin/resize2fs sbin/tune2fs usr/sbin/xfs_growfs sbin/xfs_repair bin/btrfs bin/efibootmgr sbin/mdadm
    sbin/sgdisk sbin/sfdisk sbin/wipefs sbin/blkid sbin/mkfs.fat sbin/fsck.fat)
# What the agent may load beside the programs' own libraries.
libraries=(libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libresolv.so.2 libgcc_s.so.1)

mkdir -p "$cache/debs" "$cache/base" "$cache/nothing" "$out"
exec 9>"$cache/lock"
flock 9 # two builds at once share one cache

# --- packages ---------------------------------------------------------------------------------------------------------
# In an empty folder, for apt says nothing about a file that is there already.
apt_uris() { (cd "$cache/nothing" && apt-get -o APT::Sandbox::User=root download --print-uris "$@" 2>/dev/null); }
kernel_package() { apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends:/ {print $2; exit}'; }
refreshed=
refresh() {
    [ -z "$refreshed" ] || die "$1"
    refreshed=yes
    say "refreshing the package lists"
    apt-get update -qq || die "apt-get update failed"
}
kernel=$(kernel_package)
if [ -z "$kernel" ] || ! apt_uris "$kernel" "${packages[@]}" >/dev/null; then
    refresh "no package linux-image-amd64 in apt"
    kernel=$(kernel_package)
    [ -n "$kernel" ] || die "apt knows no linux-image-amd64: the ramdisk is built on Debian 12"
fi
kernel_version=${kernel#linux-image-}
fetch() {
    local missing=() line file name
    while read -r line; do
        file=$(awk '{print $2}' <<<"$line")
        name=${file%%_*}
        [ -f "$cache/debs/$file" ] || missing+=("$name")
    done < <(apt_uris "$kernel" "${packages[@]}" | tr -d "'")
    [ ${#missing[@]} -eq 0 ] && return 0
    say "downloading ${#missing[@]} packages"
    (cd "$cache/debs" && apt-get -o APT::Sandbox::User=root -qq download "${missing[@]}")
}
fetch || { refresh "a package could not be downloaded" && fetch; } || die "a package could not be downloaded"
mapfile -t debs < <(apt_uris "$kernel" "${packages[@]}" | awk '{print $2}' | sort)

# --- base archive: kernel modules, tools, init; cached by what goes in ---------------------------------------------------
firmware_state() { [ -d "$firmware" ] && (cd "$firmware" && find . -type f -printf '%P %s\n' | sort); return 0; }
key=$( (printf '%s\n' "${debs[@]}"; firmware_state; cat "$here"/{build.sh,init,hotplug,udhcpc.script,modules.list} $stub) | sha256sum | cut -c1-24)
base=$cache/base/$key
build_base() {
    local work=$cache/work root name path file
    rm -rf "$work" "$cache"/base/*
    mkdir -p "$work/debs" "$work/root"
    root=$work/root
    for name in "${debs[@]}"; do
        dpkg-deb -x "$cache/debs/$name" "$work/debs"
    done

    mkdir -p "$root"/{dev,proc,sys,run,tmp,mnt,root,etc/udhcpc,usr/bin,usr/sbin,usr/lib/x86_64-linux-gnu,usr/lib64}
    ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root/"
    install -m 755 "$here/init" "$root/init"
    install -m 755 "$here/udhcpc.script" "$root/etc/udhcpc/default.script"
    install -m 755 "$here/hotplug" "$root/etc/hotplug"
    ln -s /run/resolv.conf "$root/etc/resolv.conf"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

    # Programs, then the libraries that they and the agent name, by DT_NEEDED: ldd would ask the building machine's own.
    find_library() { find "$work/debs/lib" "$work/debs/usr/lib" -path '*x86_64-linux-gnu/*' -name "$1" -print -quit; }
    take_library() {
        local found
        [ -e "$root/usr/lib/x86_64-linux-gnu/$1" ] && return 0
        found=$(find_library "$1")
        [ -n "$found" ] || die "no library $1 in the packages (wanted by $2)"
        install -m 755 "$(readlink -f "$found")" "$root/usr/lib/x86_64-linux-gnu/$1"
        take_needed "$found"
    }
    take_needed() {
        local wanted
        for wanted in $(objdump -p "$1" 2>/dev/null | awk '/NEEDED/ {print $2}'); do
            case $wanted in ld-linux*) continue ;; esac
            take_library "$wanted" "$1"
        done
    }
    for path in "${programs[@]}"; do
        file=$(readlink -f "$work/debs/$path" 2>/dev/null || true)
        [ -f "$file" ] || file=$(find "$work/debs" -path "*bin/${path##*/}" -type f -print -quit)
        [ -f "$file" ] || die "no program $path in the packages"
        install -m 755 "$file" "$root/usr/sbin/${path##*/}"
        take_needed "$file"
    done
    ln -s mkfs.fat "$root/usr/sbin/mkfs.vfat"
    ln -s fsck.fat "$root/usr/sbin/fsck.vfat"
    for name in "${libraries[@]}"; do take_library "$name" "the agent"; done
    install -m 755 "$(readlink -f "$(find_library 'ld-linux-x86-64.so.2')")" "$root/usr/lib64/ld-linux-x86-64.so.2"
    install -m 755 "$(find "$work/debs" -path '*bin/busybox' -type f -print -quit)" "$root/usr/bin/busybox"
    for name in $("$root/usr/bin/busybox" --list); do
        [ -e "$root/usr/sbin/$name" ] || [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/usr/bin/$name"
    done
    [ -e "$root/usr/sbin/modprobe" ] || ln -s ../bin/busybox "$root/usr/sbin/modprobe" # the kernel calls /sbin/modprobe

    # Modules with everything that they depend on.
    local tree=$work/debs/lib/modules/$kernel_version to=$root/usr/lib/modules/$kernel_version queue=() module dependency
    [ -d "$tree" ] || tree=$work/debs/usr/lib/modules/$kernel_version
    depmod -b "${tree%/lib/modules/*}" "$kernel_version"
    mkdir -p "$to"
    declare -A path_of needs_of taken
    while IFS=: read -r file needs; do
        module=${file##*/}; module=${module%%.ko*}; module=${module//-/_}
        path_of[$module]=$file
        needs_of[$module]=$needs
    done <"$tree/modules.dep"
    local builtin; builtin=" $(sed 's|.*/||; s|\.ko$||; y|-|_|' "$tree/modules.builtin" | tr '\n' ' ') "
    mapfile -t queue < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d; s/-/_/g' "$here/modules.list")
    : >"$work/firmware.wanted"
    while [ ${#queue[@]} -gt 0 ]; do
        module=${queue[0]}; queue=("${queue[@]:1}")
        [ -n "${taken[$module]:-}" ] && continue
        taken[$module]=1
        file=${path_of[$module]:-}
        if [ -z "$file" ]; then
            case $builtin in *" $module "*) ;; *) say "the kernel has no module $module" ;; esac
            continue
        fi
        install -D -m 644 "$tree/$file" "$to/$file"
        for dependency in ${needs_of[$module]}; do
            dependency=${dependency##*/}; dependency=${dependency%%.ko*}
            queue+=("${dependency//-/_}")
        done
        for dependency in $(modinfo -F softdep "$tree/$file" | sed 's/pre://g; s/post://g'); do
            dependency=${dependency//-/_}
            [ -n "${path_of[$dependency]:-}" ] && queue+=("$dependency")
        done
        modinfo -F firmware "$tree/$file" | sed "s|^|$module |" >>"$work/firmware.wanted"
    done
    cp "$tree"/modules.{order,builtin,builtin.modinfo} "$to/"
    depmod -b "$root/usr" "$kernel_version" 2>/dev/null || depmod -b "$root" "$kernel_version"
    rm -f "$to"/modules.{*.bin,builtin.modinfo,order,symbols,devname}

    # Firmware that these modules may ask for, where this machine has it.
    : >"$work/firmware.missing"
    while read -r module file; do
        if [ -f "$firmware/$file" ]; then
            install -D -m 644 "$firmware/$file" "$root/usr/lib/firmware/$file"
        else
            echo "$module" >>"$work/firmware.missing"
        fi
    done <"$work/firmware.wanted"

    mkdir -p "$base.new"
    sort -u "$work/firmware.missing" | tr '\n' ' ' >"$base.new/firmware.missing"
    echo "tools and modules $key" >"$root/etc/helix-ramdisk"
    pack "$root" | zstd -q -15 -T2 --check >"$base.new/base.cpio.zst"
    cp "$work/debs/boot/vmlinuz-$kernel_version" "$base.new/vmlinuz"
    du -sk "$root" | awk '{print $1}' >"$base.new/unpacked.kib"
    rm -rf "$base" "$work"
    mv "$base.new" "$base"
}
# A cpio archive with fixed owner, order, times and inode numbers.
pack() {
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$1" && find . -mindepth 1 -printf '%P\0' | sort -z | cpio --quiet --null --create --format=newc --owner=0:0 --reproducible)
}
if [ -f "$base/base.cpio.zst" ]; then
    say "kernel $kernel_version, modules and tools from the cache"
else
    say "packing kernel $kernel_version, modules and tools"
    build_base
fi
if [ -s "$base/firmware.missing" ]; then
    say "no firmware files for: $(cat "$base/firmware.missing")(some of their cards stay dark without, BCM5720 and E810 work; Debian has them in non-free-firmware, as firmware-bnx2x, firmware-misc-nonfree: install them here, or give --firmware DIR)"
fi

# --- the agent's own archive, so that a new agent does not pack everything anew -----------------------------------------
work=$cache/iso
rm -rf "$work"
mkdir -p "$work/agent/usr/bin" "$work/tree"
install -m 755 "$agent" "$work/agent/usr/bin/helix-agent"
objcopy --strip-debug "$work/agent/usr/bin/helix-agent" 2>/dev/null || die "$agent is no ELF program"
# GLIBC symbols that the ramdisk's C library lacks would stop the agent at its start, on the node: say it here.
libc_deb=$(printf '%s\n' "${debs[@]}" | grep '^libc6_')
have=$(sed 's/^libc6_//; s/-.*//' <<<"$libc_deb")
want=$(objdump -T "$work/agent/usr/bin/helix-agent" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1)
[ "$(printf '%s\n' "$have" "${want:-0}" | sort -V | tail -1)" = "$have" ] ||
    die "the agent wants glibc $want, the ramdisk has $have: build it with agent/build.sh"
agent_version=$("$agent" --version 2>/dev/null | awk '{print $NF; exit}' || true)
pack "$work/agent" | zstd -q -9 -T2 --check >"$work/agent.cpio.zst"
# The kernel takes several archives in a row; each begins at a multiple of four.
cat "$base/base.cpio.zst" >"$work/initrd"
truncate -s %4 "$work/initrd"
cat "$work/agent.cpio.zst" >>"$work/initrd"

# --- unified kernel image -----------------------------------------------------------------------------------------------
# The last console is /dev/console. One serial port at most: with two of a kind the kernel opens neither. COM2, where many
# PowerEdge have their serial-over-LAN, gets init's and the agent's lines by init.
printf 'console=tty0 console=ttyS0,115200 loglevel=4 panic=60' >"$work/cmdline"
printf 'ID=helix-deploy\nNAME="Helix deploy ramdisk"\nPRETTY_NAME="Helix deploy ramdisk"\nVERSION_ID=%s\n' "${agent_version:-0}" >"$work/osrel"
# Addresses that leave room between the sections: kernel below 32 MiB, the initrd last and as long as it likes.
objcopy \
    --add-section .osrel="$work/osrel" --change-section-vma .osrel=0x20000 \
    --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
    --add-section .linux="$base/vmlinuz" --change-section-vma .linux=0x2000000 \
    --add-section .initrd="$work/initrd" --change-section-vma .initrd=0x4000000 \
    "$stub" "$work/BOOTX64.EFI"
uki_bytes=$(stat -c %s "$work/BOOTX64.EFI")
[ "$uki_bytes" -le $uki_limit_bytes ] || die "the unified kernel image has $uki_bytes bytes, the limit is $uki_limit_bytes"

# --- ISO ----------------------------------------------------------------------------------------------------------------
fat_kib=$((uki_bytes / 1024 + uki_bytes / 1024 / 50 + 1024))
fat_kib=$(((fat_kib + 63) / 64 * 64))
rm -f "$work/efi.img"
mkfs.vfat -C -n HELIXEFI -i 48454c58 --invariant "$work/efi.img" "$fat_kib" >/dev/null
touch -d "@$SOURCE_DATE_EPOCH" "$work/BOOTX64.EFI"
mmd -D s -i "$work/efi.img" ::/EFI ::/EFI/BOOT
mcopy -m -i "$work/efi.img" "$work/BOOTX64.EFI" ::/EFI/BOOT/BOOTX64.EFI
mv "$work/efi.img" "$work/tree/efi.img"
# The empty block: magic, length 0, SHA-256 of nothing, zeros. The controller writes the real one while streaming.
{
    printf 'HLXBLK01\0\0\0\0'
    printf '\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55'
    head -c $((4096 - 44)) /dev/zero
} >"$work/tree/HELIX.BLK"
find "$work/tree" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
iso_date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S00)
# El Torito counts 512-byte sectors in 16 bits. A boot image of 32 MiB or more says 0, which UEFI reads as "to the end".
load_size=$((fat_kib * 2))
[ $load_size -le 65535 ] || load_size=0
xorriso -as mkisofs -quiet -V HELIXDEPLOY -R -o "$work/helix-deploy.iso" \
    --set_all_file_dates "$iso_date" --modification-date="$iso_date" -uid 0 -gid 0 \
    -e efi.img -no-emul-boot -boot-load-size $load_size "$work/tree" 2>"$work/xorriso.log" ||
    { cat "$work/xorriso.log" >&2; die "xorriso could not write the ISO"; }
block_lba=$(xorriso -indev "$work/helix-deploy.iso" -find /HELIX.BLK -exec report_lba 2>/dev/null | awk -F, '/File data lba/ {gsub(/ /, "", $2); print $2}')
[ -n "$block_lba" ] || die "the block cannot be found in the ISO"
block_offset=$((block_lba * 2048))
[ "$(dd if="$work/helix-deploy.iso" bs=1 skip=$block_offset count=8 status=none)" = HLXBLK01 ] || die "the block is not at $block_offset"

size_bytes=$(stat -c %s "$work/helix-deploy.iso")
digest=$(sha256sum "$work/helix-deploy.iso" | cut -d' ' -f1)
printf '{"format":1,"size_bytes":%s,"sha256":"%s","block_offset":%s,"block_size":4096,"agent_version":"%s","kernel":"%s"}\n' \
    "$size_bytes" "$digest" "$block_offset" "$agent_version" "$kernel_version" >"$work/helix-deploy.json"
mv "$work/helix-deploy.iso" "$out/helix-deploy.iso"
mv "$work/helix-deploy.json" "$out/helix-deploy.json"
say "$out/helix-deploy.iso: $((size_bytes / 1000000)) MB, unified kernel image $((uki_bytes / 1000000)) MB, block at $block_offset, sha256 $digest"
rm -rf "$work"
