#!/usr/bin/env bats
# commit.bats: what a container did to its files, as an image, as an archive, and in umoci's eyes.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images layers
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
	cd "$BATS_TEST_TMPDIR" || return
}

entries() {
	TZ=UTC tar --full-time --numeric-owner -tvf "$1" | sort -k 6
}

@test "change, remove, rename, link, chown: commit, and the tree is the same everywhere" {
	run -0 --separate-stderr zl run -q --name worker layers sh -ec '
		echo new >/d/new; rm /d/three; mv /o /o-moved; echo x >/o-moved/more
		mkdir /o; echo fresh >/o/only; mkdir -p /a/b/c; echo deep >/a/b/c/f; ln /a/b/c/f /a/g
		ln /hard2 /hard3; echo changed >>/hard; chown 5:6 /owned; chmod 4711 /setuid
		ln -s a /lnk; chown -h 7:7 /lnk; mknod /cdev c 9 8; mkfifo /ff; rm -r /gone-no-more
		rm /back; mkdir /back; echo dir >/back/f; rm -r /becomes-dir; echo file >/becomes-dir
		mv /usr/sbin /usr/sbin2; mkdir /usr/sbin; chmod 1770 /home; touch -d 2001-02-03 /a/b
		truncate -s 5000000 /sparse; mv /a/b/c /d/c; chmod 0 /d/two'
	zl export -o before.tar worker
	zl commit worker result:1
	zl create --name result result:1 true
	zl export -o after.tar result
	diff <(entries before.tar) <(entries after.tar)
	cmp before.tar after.tar
	# The guest sees what the archive says.
	run -0 --separate-stderr zl run -q --rm result:1 sh -c \
		'cat /hard2 /o/only /o-moved/above /back/f /d/c/f /a/g; stat -c "%a %u %g %h" /setuid /owned /hard3 /home; ls /o /d'
	output_is "hardchanged
fresh
abovedir
deep
deep
4711 0 0 1
640 5 6 1
644 0 0 3
1770 0 0 $(sed -n 's/^1770 0 0 //p' <<<"$output")
/d:
c
new
two

/o:
only"
	# And so does umoci, whatever it may set without root. (Debian's knows no zstd.)
	mkdir layout && zl save result:1 | tar -xC layout
	mkdir gz
	python3 - <<-END
		import gzip, json, os, subprocess
		m = json.load(open("layout/blobs/sha256/" + json.load(open("layout/index.json"))["manifests"][0]["digest"].split(":")[1]))
		for l in m["layers"]:
		    data = open("layout/blobs/sha256/" + l["digest"].split(":")[1], "rb").read()
		    if data[:4] == b"\x28\xb5\x2f\xfd":
		        data = subprocess.run(["zstd", "-dcq"], input=data, stdout=-1, check=True).stdout
		    elif data[:2] == b"\x1f\x8b":
		        data = gzip.decompress(data)
		    open("gz/%d.tar" % len(os.listdir("gz")), "wb").write(data)
	END
	umoci init --layout umoci 2>/dev/null
	umoci new --image umoci:x 2>/dev/null
	for n in $(seq 0 $(($(find gz -type f | wc -l) - 1))); do
		umoci raw add-layer --image umoci:x "gz/$n.tar" 2>/dev/null
	done
	flag=--rootless
	[ "$(id -u)" = 0 ] && flag=--keep-dirlinks
	umoci unpack "$flag" --image umoci:x bundle 2>/dev/null
	diff <(tar -tf after.tar | sed 's|/$||; s|^\./||; /^\.*$/d' | sort) <(cd bundle/rootfs && find . -mindepth 1 -printf '%P\n' | sort)
	if [ "$(id -u)" = 0 ]; then
		tar -C bundle/rootfs --numeric-owner --sort=name -cf umoci.tar .
		facts() {
			python3 -c '
import sys, tarfile
for m in sorted(tarfile.open(sys.argv[1]), key=lambda m: m.name.removeprefix("./")):
    n = m.name.removeprefix("./")
    if n in (".", ""):
        continue
    if m.islnk():
        m = [x for x in tarfile.open(sys.argv[1]) if x.name == m.linkname][0]
    print(n, m.type, oct(m.mode), m.uid, m.gid, 0 if m.isdir() else m.size, m.linkname if m.issym() else "",
          m.devmajor if m.isdev() and not m.isfifo() else 0)' "$1"
		}
		diff <(facts after.tar) <(facts umoci.tar)
	fi
}

@test "a running container is exported and committed, and goes on" {
	zl run -q -d --name busy layers sh -c 'echo early >/early; while :; do sleep 1; done'
	wait_until 60 zl exec busy test -e /early
	# the agent brings it here, whatever the image has
	zl exec busy sh -c 'rm -f /bin/sync /usr/bin/sync; echo just-now >/late'
	run -127 --separate-stderr zl exec busy sync
	run -0 bash -c 'zl export busy | tar -xO late'
	output_is just-now
	zl commit busy live:1
	run -0 zl exec busy cat /late
	[ "$(zl inspect -f '{{.State.Status}}' busy)" = running ]
	zl create --name of-live live:1
	run -0 bash -c 'zl export of-live | tar -xO early late'
	output_is "early
just-now"
	zl rm -f busy
}
