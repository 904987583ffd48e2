#!/usr/bin/env bats
# kill.bats: zl killed in the middle of everything it does to the store: nothing is lost or half-done.
#
# The points are system calls that change something, spread evenly over what strace sees of a whole
# run; ZL_KILL_POINTS (200 for the long form) is their number over all five commands.

load ../lib/common

CALLS=openat,mkdirat,renameat,renameat2,unlinkat,unlink,linkat,symlinkat,write,pwrite64,fsetxattr,ftruncate,fdatasync,fallocate,utimensat,flock

setup_file() {
	zl_setup_file
	export POINTS=$((${ZL_KILL_POINTS:-40} / 5))
	faulty_start none "$IMAGES/layers"
	zl create --name base "$FAULTY/layers" true
	cp -a "$ZL_ROOT" full
	ZL_ROOT=$PWD/empty zl images -q
	zl rm base
	zl tag "$FAULTY/layers" nameless:1
	"$ZL" load -qi "$IMAGES/busybox.tar"
	zl tag busybox nameless:1
	cp -a "$ZL_ROOT" two
}

teardown_file() {
	zl_teardown_file
}

setup() {
	command -v strace >/dev/null || skip "no strace"
	strace -f -o /dev/null true 2>/dev/null || skip "cannot trace here"
	cd "$BATS_FILE_TMPDIR" || return
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
}

fresh() {
	rm -rf "$ZL_ROOT"
	cp -a "$1" "$ZL_ROOT"
}

# kill_everywhere START AFTER COMMAND...: from a copy of the folder START, for each point.
kill_everywhere() {
	local start=$1 after=$2 k n when call hits=0
	shift 2
	fresh "$start"
	strace -f -q -o trace -e trace="$CALLS" "$@" >/dev/null 2>&1
	awk '{ sub(/\(.*/, "", $2); c[$1 " " $2]++; print $2, c[$1 " " $2] }' trace >points
	n=$(grep -c . points)
	for k in $(seq 1 "$POINTS"); do
		read -r call when < <(sed -n "$((1 + (n - 1) * k / POINTS))p" points)
		fresh "$start"
		rc=0
		strace -f -q -o /dev/null -e trace="$CALLS" -e "inject=$call:signal=KILL:when=$when" "$@" >out 2>&1 || rc=$?
		[ "$rc" = 0 ] || hits=$((hits + 1))
		zl system check -q >faults || fail "killed at $call $when: $(cat faults)"
		"$after" "$@" || fail "killed at $call $when: $after"
		zl system check -q >faults || fail "killed at $call $when, after $after: $(cat faults)"
		store_is_clean || fail "killed at $call $when"
	done
	[ "$hits" -gt $((POINTS / 2)) ] || fail "only $hits of $POINTS were killed"
}

# The next pull goes through, and fetches no blob that was whole.
pull_again() {
	local blob
	(cd "$ZL_ROOT/blobs/sha256" && ls) >whole
	: >"$FAULTY_DIR/log"
	zl pull -q "$FAULTY/layers" || return 1
	while read -r blob; do
		if grep "^GET" "$FAULTY_DIR/log" | grep -v /manifests/ | grep -q "$blob"; then
			fail "fetched again: $blob"
			return 1
		fi
	done <whole
}

load_again() {
	zl load -qi "$IMAGES/layers.tar" && zl load -qi "$IMAGES/busybox.tar" &&
		[ "$(zl images -q | wc -l)" = 2 ]
}

commit_again() {
	zl commit base done:1 >/dev/null && [ "$(zl images -q --filter reference=done | wc -l)" = 1 ] &&
		zl history -q done:1 >/dev/null && zl image inspect "$FAULTY/layers" >/dev/null
}

# rmi either happened or did not; what it was not asked for is there.
remove_again() {
	zl rmi "$FAULTY/layers" >/dev/null 2>&1
	zl image inspect busybox >/dev/null || return 1
	zl image prune -f >/dev/null
	zl create busybox true >/dev/null
}

prune_again() {
	zl image prune -af >/dev/null && [ -z "$(zl images -q)" ] &&
		[ -z "$(find "$ZL_ROOT/blobs" "$ZL_ROOT/layers" -mindepth 2)" ]
}

@test "killed in a pull" {
	kill_everywhere empty pull_again zl pull -q "$FAULTY/layers"
}

@test "killed in a load" {
	kill_everywhere empty load_again zl load -q -i "$IMAGES/layers.tar"
}

@test "killed in a commit" {
	kill_everywhere full commit_again zl commit base done:1
}

@test "killed in an rmi" {
	kill_everywhere two remove_again zl rmi "$FAULTY/layers"
}

@test "killed in a prune" {
	kill_everywhere two prune_again zl image prune -af
}
