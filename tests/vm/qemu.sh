#!/bin/bash
# qemu.sh SUITE OUTDIR: build the disk, kernel and initrd of a machine that QEMU boots.
#
# The same Debian system as image.sh's (which is sourced), as an ext4 file
# system OUTDIR/disk, with the kernel of that suite and some of its modules:
# OUTDIR/vmlinuz and OUTDIR/initrd. Debian 13's has the default SELinux policy
# with contrib/selinux/gons.cil, and every file labelled, so that a machine can
# be booted with SELinux enforcing, or without SELinux. Run as root; a second
# run with the same scripts ends at once.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
policy=$here/../../contrib/selinux/gons.cil
# shellcheck disable=SC1091 # linted by itself
. "$here/image.sh"

packages+=(udev kmod cryptsetup-bin e2fsprogs)
# Only the kernel and some of its modules are wanted, not a package with an initrd to make.
# shellcheck disable=SC2016 # mmdebstrap's shell expands these
extra+=(--customize-hook='export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; cd "$1/boot" &&
	apt-get -qq download "$(apt-cache depends linux-image-amd64 | sed -n "s/^ *Depends: \(linux-image-[0-9]\)/\1/p")"')
selinux=(selinux-policy-default selinux-utils policycoreutils policycoreutils-python-utils auditd pamtester)

uuid=67006f6e-7300-4000-8000-766d00000001

# What the initrd loads; modprobe says what these need.
early=(virtio_pci virtio_blk crc32c_generic ext4)
# What of the kernel's drivers a machine may load later; of other modules all but net and sound.
drivers=(block char md virtio)

# kernel WORK: the kernel to WORK/vmlinuz, modules into WORK/root.
kernel() {
	local work=$1 from
	dpkg-deb -x "$work"/root/boot/linux-image-*.deb "$work/kernel"
	rm "$work"/root/boot/linux-image-*.deb
	mv "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
	for from in "$work"/kernel/{,usr/}lib/modules/*; do
		[ -d "$from" ] || continue
		mkdir "$work/drivers"
		mv "${drivers[@]/#/$from/kernel/drivers/}" "$work/drivers"
		rm -rf "$from"/kernel/{net,sound,drivers,virt,arch/x86/kvm}
		mv "$work/drivers" "$from/kernel/"
		mkdir -p "$work/root/usr/lib/modules"
		mv "$from" "$work/root/usr/lib/modules/"
		version=$(basename "$from")
	done
	chroot "$work/root" depmod "$version"
}

# initrd WORK: a root that mounts the disk, lays a test's files over it at the first boot, and starts its init.
initrd() {
	local work=$1 tree=$1/tree name file
	mkdir -p "$tree"/{bin,dev,proc,sys,new,modules}
	cp "$(command -v busybox)" "$tree/bin/busybox"
	for name in "${early[@]}"; do
		chroot "$work/root" modprobe --set-version "$version" --show-depends "$name"
	done 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
		name=$(basename "${file%.xz}")
		case $file in
		*.xz) xz -dc "$work/root$file" ;;
		*) cat "$work/root$file" ;;
		esac >"$tree/modules/$name"
		echo "insmod /modules/$name"
	done >"$tree/load"
	install "$here/qemu-init.sh" "$tree/init"
	(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initrd"
}

# enforce ROOT: switch the policy on, set what the tests are about, and label every file.
enforce() {
	local root=$1
	printf 'SELINUX=enforcing\nSELINUXTYPE=default\n' >"$root/etc/selinux/config"
	# bob logs in with a level of his own.
	chroot "$root" semanage import -N -S default <<-END
		boolean -m --on allow_polyinstantiation
		login -a -s unconfined_u -r s0-s0:c5 bob
	END
	# A policy in which nothing is allowed for gons, and nothing refused in silence, to be loaded by who asks what is needed.
	mkdir "$root/root/policy"
	grep -vE '^\((allow|dontaudit) ' "$policy" >"$root/root/policy/gons.cil"
	chroot "$root" semodule -N -D -s default -i /root/policy/gons.cil
	cp "$root"/etc/selinux/default/policy/policy.* "$root/root/policy/bare"
	cp "$policy" "$root/root/policy/gons.cil"
	chroot "$root" semodule -N -s default -i /root/policy/gons.cil
	chroot "$root" semodule -N -s default -B # silent again, which -i leaves as it is
	# setfiles asks the running system whether SELinux is on, by /proc and /sys.
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --propagation private sh -ec '
		mount -t proc proc "$1/proc"
		chroot "$1" setfiles -F -m /etc/selinux/default/contexts/files/file_contexts /
	' - "$root"
}

build() {
	local work=$1 version=
	bootstrap "$suite" "$work"
	kernel "$work"
	initrd "$work"
	install -m 644 "$here/qemu-agent.service" "$work/root/etc/systemd/system/"
	chroot "$work/root" systemctl --quiet enable qemu-agent.service
	[ "$suite" != trixie ] || enforce "$work/root"
	# The same files make the same disk.
	E2FSPROGS_FAKE_TIME=1 mke2fs -q -t ext4 -U "$uuid" -E "hash_seed=$uuid" -d "$work/root" "$work/disk" 3G >/dev/null
}

[ $# = 2 ] || die "usage: qemu.sh SUITE OUTDIR"
suite=$1
[ "$suite" != trixie ] || packages+=("${selinux[@]}")
cached "$2" "$suite $(cat "$0" "$here"/{image.sh,qemu-init.sh,qemu-agent.service} "$policy" | sha256sum)" build disk vmlinuz initrd
