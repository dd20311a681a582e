#!/bin/bash
# image.sh SUITE OUTDIR [PACKAGE]...: build the machine image that tests/vm boots.
#
# OUTDIR/root is a Debian system of the given suite (trixie, bookworm) as a
# plain directory tree with the PACKAGEs on top; OUTDIR/stamp says what it was
# made from: a second run with the same script and packages ends at once. Nothing in it belongs to one test; what a
# test needs on top (the module, its configuration, keys) is laid over it at
# each boot. Run as root.
#
# Mirrors come from this machine's own apt configuration with the suite's name
# replaced, and so does trust: packages are verified against this machine's
# debian-archive-keyring, or a newer one fetched (and verified) by its apt.
set -euo pipefail

packages=(
	systemd systemd-sysv dbus dbus-user-session libpam-systemd
	libpam-modules libpam-modules-bin libpam-runtime
	openssh-server openssh-client login passwd util-linux sudo cron
	procps iproute2 strace
	at tmux screen systemd-container gocryptfs fuse3
)

# Further options of mmdebstrap; qemu.sh sources this file and adds to both
# lists.
extra=()

# What would wake up by itself and disturb a test, or needs a terminal.
masked=(
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
	e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer
	getty@tty1.service
)

die() {
	echo "image.sh: $*" >&2
	exit 1
}

# sources SUITE: one-line apt sources for SUITE, after this machine's own
# (main only: bookworm, bookworm-updates, bookworm-security become SUITE, ...).
sources() {
	local own release uri
	# shellcheck source=/dev/null
	own=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	[ -n "$own" ] || die "cannot read VERSION_CODENAME from /etc/os-release"
	# shellcheck disable=SC2016 # apt-get expands these
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		sort -u | while read -r release component uri; do
		[ "$component" = main ] || continue
		case $release in
		"$own" | "$own"-updates | "$own"-security) echo "deb $uri $1${release#"$own"} main" ;;
		esac
	done
}

# keyring DIR SUITE: the path of a keyring that holds SUITE's keys, from this
# machine or, downloaded into DIR, from a newer debian-archive-keyring.
keyring() {
	local top file
	for top in / "$1/keyring"; do
		if [ "$top" != / ]; then
			(cd "$1" && apt-get -qq download debian-archive-keyring >&2) ||
				die "cannot download debian-archive-keyring"
			dpkg-deb -x "$1"/debian-archive-keyring_*.deb "$top"
		fi
		for file in "$top"/usr/share/keyrings/debian-archive-"$2"-stable.[gp]*; do
			[ -e "$file" ] || continue
			echo "$top/usr/share/keyrings/debian-archive-keyring.${file##*.}"
			return
		done
	done
	die "no keys of $2 on this machine, nor in the newest debian-archive-keyring that it offers"
}

# configure ROOT: users and settings, the same in every image.
configure() {
	local root=$1 user uid=1001
	for user in alice bob; do
		chroot "$root" useradd -u $uid -U -m -s /bin/bash -p '*' "$user"
		uid=$((uid + 1))
	done
	# Fixed, so that no boot is a first boot with presets to apply.
	echo 67006f6e7300000000000000766d0001 >"$root/etc/machine-id"
	echo machine >"$root/etc/hostname"
	printf '127.0.0.1 localhost machine\n::1 localhost\n' >"$root/etc/hosts"
	: >"$root/etc/fstab"
	echo LANG=C.UTF-8 >"$root/etc/default/locale" # pam_env warns without it
	# A user's manager ends three seconds after the last session, not ten. With
	# none, a test's quick logins run into systemd's limit of five starts in 10 s.
	mkdir -p "$root/etc/systemd/logind.conf.d"
	printf '[Login]\nUserStopDelaySec=3\n' >"$root/etc/systemd/logind.conf.d/vm.conf"
	local unit
	for unit in "${masked[@]}"; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	# Nor is it one after an update, with caches to rebuild.
	touch "$root/etc/.updated" "$root/var/.updated"
	# No mirror's name stays behind, and no package lists.
	rm -rf "$root"/etc/apt/sources.list{,.d/*} "$root"/etc/apt/apt.conf.d/99mmdebstrap
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
}

# bootstrap SUITE DIR: build DIR/root, with DIR for scratch files.
bootstrap() {
	local suite=$1 dir=$2 key list
	key=$(keyring "$dir" "$suite")
	list=$(sources "$suite")
	[ -n "$list" ] || die "cannot find a Debian mirror in this machine's apt configuration"
	# How this machine reaches its mirrors: proxies and clocks.
	apt-config dump | grep -E '^Acquire::(https?|Check-)' >"$dir/apt.conf" || true
	# Mounts that mmdebstrap makes are gone with this namespace, whatever happens.
	unshare --mount --propagation private mmdebstrap --quiet --mode=root --variant=minbase \
		--format=directory --keyring="$key" --aptopt="$dir/apt.conf" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
		--include="$(IFS=,; echo "${packages[*]}")" "${extra[@]}" \
		"$suite" "$dir/root" - <<<"$list" >"$dir/log" 2>&1 || {
		tail -n 40 "$dir/log" >&2
		die "cannot build the image of $suite"
	}
	configure "$dir/root"
}

# cached OUTDIR STAMP BUILD PRODUCT...: unless OUTDIR is what STAMP names, have the
# function BUILD make the products in a scratch directory, its argument, and move
# them to OUTDIR.
cached() {
	local out=$1 stamp=$2 build=$3 work=$1/new started=$SECONDS
	shift 3
	[ "$(id -u)" = 0 ] || die "must be root"
	built() { [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; }
	! built || return 0
	# Whoever builds waits for running machines, and for others who build.
	mkdir -p "$out"
	exec 9>"$out/lock"
	flock 9
	! built || return 0
	echo "building a Debian $suite machine in $out (a minute or two)"
	rm -rf --one-file-system "$work" "$out/stamp" "${@/#/$out/}"
	mkdir "$work"
	"$build" "$work" 9>&-
	mv "${@/#/$work/}" "$out"
	rm -rf --one-file-system "$work"
	echo "$stamp" >"$out/stamp"
	echo "$suite is ready: $(du -sch "${@/#/$out/}" | tail -n 1 | cut -f1), $((SECONDS - started)) s"
}

main() {
	[ $# -ge 2 ] || die "usage: image.sh SUITE OUTDIR [PACKAGE]..."
	local suite=$1 out=$2
	shift 2
	packages+=("$@")
	build() { bootstrap "$suite" "$1"; }
	cached "$out" "$suite $(sha256sum <"$0") $*" build root
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
