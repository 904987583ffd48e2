#!/bin/sh
# Builds the guest kernel from Debian's linux-source-6.1, guest/kernel-*.patch and
# guest/kernel.config: guest/kernel.sh DEST
#
# The result is kept under ~/.cache/zl-build by the hash of everything it is made from, so
# that a second checkout does not build it again; DEST becomes a copy of it: vmlinux
# (stripped), vmlinux.zst (what is embedded) and config.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dest=$1
source=/usr/src/linux-source-6.1.tar.xz
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zl-build
objects=1250 # about as many as there are to compile: for the progress line only
mkdir -p "$cache"

prepare() {
	for file in "$here"/kernel-*.patch; do
		patch -p1 <"$file" || return 1
	done
}

configure() {
	make allnoconfig && cat "$here/kernel.config" >>.config && make olddefconfig || return 1
	# kconfig drops what it cannot have without a word; a lost option is an error here.
	grep -E '^CONFIG_[A-Z0-9_]+=y' "$here/kernel.config" | while read -r option; do
		grep -qx "$option" .config || echo "kernel.config: $option cannot be had"
	done >lost
	[ ! -s lost ] || { cat lost && return 1; }
}

compile() {
	export KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=zl KBUILD_BUILD_HOST=zl
	nice -n 5 make -j"$(nproc)" vmlinux &&
		strip -s -o "$work/out/vmlinux" vmlinux &&
		zstd -q -19 "$work/out/vmlinux" -o "$work/out/vmlinux.zst" &&
		cp .config "$work/out/config"
}

key=$({
	cat "$here/kernel.config" "$here"/kernel-*.patch
	sed -n '/^prepare()/,/^}/p; /^configure()/,/^}/p; /^compile()/,/^}/p' "$0"
	dpkg-query -W -f '${Version}\n' linux-source-6.1
	gcc -dumpfullversion
} | sha256sum | cut -c1-16)
out=$cache/kernel-$key

hand_over() {
	rm -rf "$dest.new"
	mkdir -p "$(dirname "$dest")"
	cp -R "$out" "$dest.new"
	rm -rf "$dest"
	mv "$dest.new" "$dest"
	exit 0
}

# Follows the log of process $1: one line that moves on a terminal, else a line a minute.
follow() {
	ticks=0
	while kill -0 "$1" 2>/dev/null; do
		sleep 2
		ticks=$((ticks + 1))
		done=$(grep -cE '^  (CC|AS) ' "$work/log" || true)
		line="guest kernel: $done of about $objects objects, $((ticks / 30)) min"
		if [ -t 1 ]; then
			printf '\r%s ' "$line"
		elif [ $((ticks % 30)) = 0 ]; then
			echo "$line"
		fi
	done
	[ ! -t 1 ] || echo
}

[ ! -d "$out" ] || hand_over
exec 9>"$cache/kernel.lock"
if ! flock -n 9; then
	echo "guest kernel: another build of it is running; waiting for that one"
	flock 9
fi
[ ! -d "$out" ] || hand_over

rm -rf "$cache"/kernel.work.*
work=$(mktemp -d "$cache/kernel.work.XXXXXX")
trap 'kill "$job" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
job=
mkdir "$work/out"
echo "guest kernel: building it from $source; once, some ten minutes on two cores"
tar -C "$work" -xf "$source"
cd "$work"/linux-source-6.1
{ prepare && configure && compile; } >"$work/log" 2>&1 9>&- &
job=$!
follow "$job"
if ! wait "$job"; then
	tail -n 40 "$work/log" >&2
	echo "guest kernel: the build failed" >&2
	exit 1
fi
chmod -R u+w,go+rX "$work/out"
mv "$work/out" "$out"
hand_over
