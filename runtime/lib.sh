#!/bin/sh
# Builds a static library from Debian's source package: runtime/lib.sh curl|isal|slirp DEST
#
# curl (http and https only): Debian's own libcurl.a wants libraries that exist only as
# shared ones. isal (its inflate only), slirp: Debian has no static one. The result is kept
# under ~/.cache/zl-build by source version and recipe, so that it is built once; DEST becomes
# a copy of it (include/ and lib/).
# shellcheck disable=SC2317 # build_* are called by name
set -eu

name=$1
dest=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/zl-build
mkdir -p "$cache"

# --- the recipes: package is a binary package of the source, build_* run in the source's folder

build_curl() {
	package=libcurl4
	./configure --prefix="$work/out" --disable-shared --enable-static --with-openssl \
		--with-nghttp2 --with-zlib --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt \
		--without-brotli --without-zstd --without-gssapi --without-libidn2 --without-libpsl \
		--without-librtmp --without-libssh2 --disable-ldap --disable-ldaps --disable-ftp \
		--disable-file --disable-dict --disable-telnet --disable-tftp --disable-pop3 \
		--disable-imap --disable-smb --disable-smtp --disable-gopher --disable-mqtt \
		--disable-rtsp --disable-manual --disable-ntlm --disable-alt-svc --disable-hsts \
		--disable-cookies --disable-doh --disable-netrc --disable-aws \
		--disable-unix-sockets --disable-get-easy-options --disable-libcurl-option \
		CFLAGS='-O2 -ffunction-sections -fdata-sections -fstack-protector-strong' || return 1
	# Debian's patches touch what autotools read; the shipped output is still right.
	for part in lib include; do
		make -j"$(nproc)" -C "$part" ACLOCAL=: AUTOMAKE=: AUTOCONF=: AUTOHEADER=: install ||
			return 1
	done
	rm -rf "$work/out/lib/pkgconfig" "$work"/out/lib/*.la
}

build_isal() {
	package=libisal2
	make -j"$(nproc)" -f Makefile.unx units=igzip AS=nasm lib || return 1
	mkdir -p "$work/out/lib" "$work/out/include/isa-l"
	cp bin/isa-l.a "$work/out/lib/libisal.a"
	cp include/igzip_lib.h "$work/out/include/isa-l/"
}

build_slirp() {
	package=libslirp0
	mkdir -p "$work/out/lib" "$work/out/include/slirp"
	v=$(sed -n "s/.*version *: *'\([0-9.]*\)'.*/\1/p" meson.build | head -n 1)
	major=${v%%.*} minor=${v#*.} micro=${v##*.}
	minor=${minor%%.*}
	sed "s/@SLIRP_MAJOR_VERSION@/$major/; s/@SLIRP_MINOR_VERSION@/$minor/
		s/@SLIRP_MICRO_VERSION@/$micro/; s/@SLIRP_VERSION_STRING@/\"$v\"/" \
		src/libslirp-version.h.in >src/libslirp-version.h
	# if_nametoindex would open a unix socket: runtime/net/slirp.c has another.
	for f in src/*.c; do
		gcc -std=gnu99 -O2 -w -ffunction-sections -fdata-sections -fstack-protector-strong \
			-D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -DBUILDING_LIBSLIRP -DG_LOG_DOMAIN='"Slirp"' \
			-Dif_nametoindex=net_interface_index -I/usr/include/glib-2.0 \
			"-I/usr/lib/$(gcc -print-multiarch)/glib-2.0/include" \
			-c -o "${f%.c}.o" "$f" || return 1
	done
	ar rcs "$work/out/lib/libslirp.a" src/*.o
	cp src/libslirp.h src/libslirp-version.h "$work/out/include/slirp/"
}

# --- how they are fetched and kept

recipe=$({
	sed -n "/^build_$name()/,/^}/p" "$0"
	gcc -dumpfullversion
} | sha256sum | cut -c1-16)
package=$(sed -n "/^build_$name()/,/^}/s/^	package=//p" "$0")
[ -n "$package" ] || { echo "runtime/lib.sh: no recipe for $name" >&2 && exit 2; }
version=$(LC_ALL=C apt-cache policy "$package" | sed -n 's/^ *Candidate: //p' | sed 's/+b[0-9]*$//')
out=$cache/$name-${version:-unknown}-$recipe

hand_over() {
	rm -rf "$dest.new"
	mkdir -p "$(dirname "$dest")"
	cp -R "$1" "$dest.new"
	rm -rf "$dest"
	mv "$dest.new" "$dest"
	exit 0
}

# The system's Debian sources, as source entries, for this one use.
source_lists() {
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		awk 'BEGIN { RS = ""; ORS = "\n\n" }
			/debian\.org|debian/ { sub(/Types:[^\n]*/, "Types: deb-src"); print }' "$f"
	done >"$work/src.sources"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] || continue
		sed -n '/debian/s/^deb /deb-src /p' "$f"
	done >"$work/src.list"
	mkdir -p "$work/parts" "$work/lists/partial" "$work/cache/archives/partial"
	mv "$work/src.sources" "$work/src.list" "$work/parts/"
}

apt() {
	apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
		-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

fetch() {
	source_lists
	apt update || return 1
	cd "$work"
	apt source "$package=$version" || apt source "$package"
}

build() {
	cd "$work"/*-*/
	"build_$name"
}

[ ! -d "$out" ] || hand_over "$out"
exec 9>"$cache/$name.lock"
flock 9
[ ! -d "$out" ] || hand_over "$out"

rm -rf "$cache/$name".work.*
work=$(mktemp -d "$cache/$name.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
echo "building $name from Debian's source package (once, a minute at most)"
if ! (fetch) >"$work/log" 2>&1; then
	# Offline: any version made by this recipe will do.
	for old in "$cache/$name"-*-"$recipe"; do
		[ ! -d "$old" ] || hand_over "$old"
	done
	tail -n 20 "$work/log" >&2
	echo "cannot fetch Debian's source package of $name" >&2
	exit 1
fi
if ! (build) >"$work/log" 2>&1; then
	tail -n 40 "$work/log" >&2
	echo "cannot build $name" >&2
	exit 1
fi
mv "$work/out" "$out"
hand_over "$out"
