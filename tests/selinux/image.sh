#!/bin/bash
# image.sh OUTDIR: build the disk, kernel and initrd that tests/selinux boots.
#
# A Debian 13 machine of tests/vm (its image.sh is sourced) with the default
# SELinux policy, enforcing and labelled, so that the first boot relabels
# nothing, and with contrib/selinux/gons.cil: OUTDIR/disk, OUTDIR/vmlinuz and
# OUTDIR/initrd. What a test adds comes as a disk of its own. Run as root; a
# second run with the same scripts ends at once.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
# shellcheck disable=SC1091 # linted by itself
. "$here/../vm/image.sh"

suite=trixie
packages+=(selinux-policy-default selinux-utils policycoreutils policycoreutils-python-utils auditd pamtester kmod)
# Only the kernel and a few of its modules are wanted, not a package with an initrd to make.
# shellcheck disable=SC2016 # mmdebstrap's shell expands these
extra+=(--customize-hook='export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; cd "$1/boot" &&
	apt-get -qq download "$(apt-cache depends linux-image-amd64 | sed -n "s/^ *Depends: //p")"')

# In the order of loading; what a kernel has built in is passed over.
modules=(virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio-rng crc16 crc32c_generic mbcache jbd2 ext4)

# enforce ROOT: switch the policy on, set what the test is about, and label every file.
enforce() {
	local root=$1
	printf 'SELINUX=enforcing\nSELINUXTYPE=default\n' >"$root/etc/selinux/config"
	# bob logs in with a level of his own.
	chroot "$root" semanage boolean -N -S default -m --on allow_polyinstantiation
	cp "$here/../../contrib/selinux/gons.cil" "$root/root/"
	chroot "$root" semodule -N -s default -i /root/gons.cil
	chroot "$root" semanage login -N -S default -a -s unconfined_u -r s0-s0:c5 bob
	cp "$here/gons-selinux.service" "$root/etc/systemd/system/"
	chroot "$root" systemctl -q enable gons-selinux.service
	# setfiles asks the running system whether SELinux is on, by /proc and /sys.
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --propagation private sh -ec '
		mount -t proc proc "$1/proc"
		chroot "$1" setfiles -F -m /etc/selinux/default/contexts/files/file_contexts /
	' - "$root"
}

# initrd ROOT MODULES: a root that mounts the disk and starts its init.
initrd() {
	local root=$1 tree=$1.initrd from=$2 name file
	mkdir -p "$tree"/{bin,dev,proc,sys,new,modules}
	cp "$(command -v busybox)" "$tree/bin/busybox"
	for name in "${modules[@]}"; do
		file=$(find "$from" -name "$name.ko*" | head -n 1)
		[ -n "$file" ] || continue
		cp "$file" "$tree/modules/"
		[[ $file != *.xz ]] || unxz -f "$tree/modules/$(basename "$file")"
		echo "insmod /modules/$name.ko"
	done >"$tree/load"
	cat >"$tree/init" <<-'END'
		#!/bin/busybox sh
		/bin/busybox --install /bin
		mount -t devtmpfs dev /dev
		mount -t proc proc /proc
		mount -t sysfs sys /sys
		sh /load
		mount -t ext4 /dev/vda /new || exec sh
		mount --move /dev /new/dev
		mount --move /proc /new/proc
		mount --move /sys /new/sys
		exec switch_root /new /lib/systemd/systemd
	END
	chmod +x "$tree/init"
	(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$3"
	rm -rf "$tree"
}

main() {
	[ $# = 1 ] || die "usage: image.sh OUTDIR"
	[ "$(id -u)" = 0 ] || die "must be root"
	local out=$1 stamp work
	stamp=$(cat "$0" "$here/../vm/image.sh" "$here"/*.service "$here/../../contrib/selinux/gons.cil" | sha256sum)
	built() { [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; }
	built && return
	mkdir -p "$out"
	exec 9>"$out/lock"
	flock 9
	built && return
	echo "image.sh: building a Debian $suite machine with SELinux in $out (a few minutes)"
	work=$out/new
	rm -rf --one-file-system "$work" "$out"/{stamp,disk,vmlinuz,initrd}
	mkdir "$work"
	bootstrap "$suite" "$work" 9>&-
	dpkg-deb -x "$work"/root/boot/linux-image-*.deb "$work/kernel"
	rm "$work"/root/boot/linux-image-*.deb
	enforce "$work/root"
	initrd "$work/root" "$work/kernel" "$out/initrd"
	cp "$work"/kernel/boot/vmlinuz-* "$out/vmlinuz"
	mke2fs -q -t ext4 -d "$work/root" "$out/disk" 2G
	rm -rf --one-file-system "$work"
	echo "$stamp" >"$out/stamp"
	echo "image.sh: ready: $(du -sh "$out/disk" | cut -f1), $SECONDS s"
}

main "$@"
