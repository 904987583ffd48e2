#!/usr/bin/env bats
# volumes.bats: volumes and mounts, as far as no container has to run.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox layers
	# an image with volumes, and with files of several owners below one
	# shellcheck source=tests/lib/images.sh
	source "$lib/images.sh"
	local d=$BATS_FILE_TMPDIR/vol
	printf '%s\n' 'dir data 0750 1000 2000' 'file data/f 0640 7 8 content' 'dir data/sub 0755 0 0' \
		'symlink data/link 0777 0 0 f' 'hardlink data/hard 0640 7 8 data/f' 'char data/null 0666 0 0 1 3' \
		'dir empty 1777 5 6' | python3 "$lib/mktar.py" >"$d.tar"
	layout_init "$d"
	layout_layer "$d" "$d.tar"
	layout_image "$d" vol:latest '{"Cmd":["true"],"Volumes":{"/data":{},"/empty/":{}}}'
	layout_tar "$d" | zl load -q >/dev/null
}

teardown_file() {
	zl_teardown_file
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

mounts() { # CONTAINER FORMAT
	zl inspect -f "{{range .Mounts}}$2 {{end}}" "$1"
}

# bats test_tags=quick
@test "create, ls, inspect, rm" {
	run -0 --separate-stderr zl volume create --label tier=db --label plain data1
	output_is data1
	run -0 --separate-stderr zl volume create data1
	output_is data1
	run -0 --separate-stderr zl volume create
	[[ $output =~ ^[0-9a-f]{64}$ ]]
	anonymous=$output
	run -0 --separate-stderr zl volume ls
	[ "${lines[0]}" = "DRIVER    VOLUME NAME" ]
	[[ $output == *"local     data1"* ]]
	[ "$(zl volume ls -q -f name=ata)" = data1 ]
	[ "$(zl volume ls -q -f label=tier=db)" = data1 ]
	[ "$(zl volume ls -q -f label=com.docker.volume.anonymous)" = "$anonymous" ]
	[ -z "$(zl volume ls -q -f driver=other)" ]
	[ "$(zl volume ls -f name=data1 --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}')" = \
		"data1 local local tier=db,plain=" ]
	run -0 --separate-stderr zl volume inspect data1
	[ "$(jq -c '.[0] | keys' <<<"$output")" = \
		'["CreatedAt","Driver","Labels","Mountpoint","Name","Options","Scope"]' ]
	[ "$(jq -r '.[0] | .Labels.tier, .Mountpoint, .Scope, .Options' <<<"$output")" = \
		"$(printf '%s\n' db "$ZL_ROOT/volumes/data1/_data" local null)" ]
	[ "$(zl volume inspect -f '{{.Name}}' data1)" = data1 ]
	run --separate-stderr zl volume inspect data1 nothing
	[ "$status" = 1 ]
	[ "$(jq length <<<"$output")" = 1 ]
	stderr_has "zl: get nothing: no such volume"
	run -0 --separate-stderr zl volume rm data1 "$anonymous"
	output_is "$(printf 'data1\n%s' "$anonymous")"
	run --separate-stderr zl volume rm data1
	one_line_error
	stderr_has "get data1: no such volume"
	run -0 --separate-stderr zl volume rm -f data1
	[ -z "$(zl volume ls -q)" ]
}

# bats test_tags=quick
@test "names and options that cannot be" {
	run --separate-stderr zl volume create a
	one_line_error
	stderr_has "volume name is too short, names should be at least two alphanumeric characters"
	run --separate-stderr zl volume create ../x
	one_line_error
	stderr_has 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
	run --separate-stderr zl volume create -d nfs x1
	one_line_error
	stderr_has 'plugin "nfs" not found'
	run --separate-stderr zl volume create -o type=tmpfs -o device=tmpfs x1
	one_line_error
	stderr_has "is not possible"
	run --separate-stderr zl volume create -o size=1 x1
	one_line_error
	stderr_has 'invalid option: "size"'
	run --separate-stderr zl volume create --name x1 x2
	one_line_error
	stderr_has "conflicting options"
	run --separate-stderr zl volume ls -f dangling=perhaps
	one_line_error
	run --separate-stderr zl volume ls -f nonsense=1
	one_line_error
	stderr_has "invalid filter 'nonsense'"
	run --separate-stderr zl volume inspect ../containers
	[ "$status" = 1 ]
	stderr_has "no such volume"
	run ! zl volume rm ../containers
	[ -z "$(zl volume ls -q)" ]
}

# bats test_tags=quick
@test "a named volume: made at first use, filled from the image, shared, kept" {
	local id
	id=$(zl create --name one -v shared1:/data vol:latest)
	[ "$(zl volume ls -q -f name=shared1)" = shared1 ]
	[ "$(zl inspect -f '{{json .Mounts}}' one | jq -c 'map(select(.Name == "shared1"))')" = \
		"[{\"Type\":\"volume\",\"Name\":\"shared1\",\"Source\":\"$ZL_ROOT/volumes/shared1/_data\",\"Destination\":\"/data\",\"Driver\":\"local\",\"Mode\":\"z\",\"RW\":true,\"Propagation\":\"\"}]" ]
	[ "$(zl inspect -f '{{.HostConfig.Binds}}' one)" = "[shared1:/data]" ]
	# with owners and kinds as the image has them
	[ "$(zl cp one:/data - | tar --numeric-owner -tv | awk '{print $1, $2, $NF}')" = "$(printf '%s\n' \
		'drwxr-x--- 1000/2000 data/' '-rw-r----- 7/8 data/f' 'hrw-r----- 7/8 data/f' 'lrwxrwxrwx 0/0 f' \
		'crw-rw-rw- 0/0 data/null' 'drwxr-xr-x 0/0 data/sub/')" ]
	# what is in it stays, and what it has is not filled again
	echo mine >f
	zl cp f one:/data/f
	zl cp one:/data/sub - >/dev/null
	zl create --name two -v shared1:/elsewhere:ro vol:latest >/dev/null
	[ "$(zl cp two:/elsewhere/f - | tar -xO)" = mine ]
	run --separate-stderr zl cp f two:/elsewhere
	one_line_error
	stderr_has "mounted volume is marked read-only"
	# in use it cannot go
	run --separate-stderr zl volume rm shared1
	one_line_error
	stderr_has "remove shared1: volume is in use - ["
	stderr_has "$id"
	[ "$(zl volume ls -q -f dangling=false -f name=shared1)" = shared1 ]
	[ -z "$(zl volume ls -q -f dangling=true -f name=shared1)" ]
	zl rm -v one two >/dev/null
	[ "$(zl volume ls -q -f dangling=true)" = shared1 ]
	zl create --name three -v shared1:/data vol:latest >/dev/null
	[ "$(zl cp three:/data/f - | tar -xO)" = mine ]
	zl rm -v three >/dev/null
	zl volume rm shared1 >/dev/null
	[ -z "$(zl volume ls -q)" ]
}

# bats test_tags=quick
@test "anonymous volumes: the image's and -v's; they go with rm -v, and only then" {
	zl create --name anon -v /more busybox true >/dev/null
	zl create --name img vol:latest >/dev/null
	[ "$(mounts img '{{.Type}}:{{.Destination}}' | tr ' ' '\n' | sort | xargs)" = "volume:/data volume:/empty" ]
	[ "$(zl inspect -f '{{json .Config.Volumes}}' img)" = '{"/data":{},"/empty":{}}' ]
	[ "$(zl volume ls -q | wc -l)" = 3 ]
	[ "$(zl cp img:/empty - | tar --numeric-owner -tv | awk '{print $1, $2}')" = "drwxrwxrwt 5/6" ]
	zl rm anon >/dev/null
	[ "$(zl volume ls -q -f dangling=true | wc -l)" = 1 ]
	zl rm -v img >/dev/null
	[ "$(zl volume ls -q | wc -l)" = 1 ]
	# what is mounted there by the user is not made again
	zl create --name own -v "$PWD:/data" --tmpfs /empty vol:latest >/dev/null
	[ "$(mounts own '{{.Type}}:{{.Destination}}')" = "bind:/data " ]
	zl rm own >/dev/null
	run -0 --separate-stderr zl volume prune -f
	[ "${lines[0]}" = "Deleted Volumes:" ]
	[[ $output == *"Total reclaimed space: 0B" ]]
	[ -z "$(zl volume ls -q)" ]
}

# bats test_tags=quick
@test "--mount in all its forms, and what it refuses" {
	mkdir src
	echo x >src/f
	zl create --name m1 --mount type=bind,source="$PWD/src",target=/b,readonly,consistency=cached \
		--mount type=bind,src=./src,dst=/b2,bind-propagation=rslave \
		--mount type=volume,src=mvol,destination=/v,volume-label=a=b,volume-nocopy \
		--mount target=/anon --mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770 \
		--mount 'type=volume,src=mvol,dst=/ro,ro=true' busybox true >/dev/null
	[ "$(mounts m1 '{{.Type}}:{{.Destination}}:{{.RW}}' | tr ' ' '\n' | sort | xargs)" = \
		"bind:/b2:true bind:/b:false volume:/anon:true volume:/ro:false volume:/v:true" ]
	[ "$(zl volume inspect -f '{{.Labels.a}}' mvol)" = b ]
	[ "$(zl cp m1:/b/f - | tar -xO)" = x ]
	zl rm -v m1 >/dev/null
	[ "$(zl volume ls -q)" = mvol ]
	refused() { # MESSAGE VALUE
		run --separate-stderr zl create --mount "$2" busybox true
		[ "$status" != 0 ]
		stderr_has "$1"
	}
	refused "bind source path does not exist: $PWD/none" "type=bind,src=$PWD/none,dst=/x"
	refused "target is required" "type=volume,src=mvol"
	refused "invalid field 'bind' must be a key=value pair" "bind,src=/,dst=/x"
	refused "unexpected key 'colour' in 'colour=red'" "type=bind,colour=red"
	refused "mount type unknown" "type=npipe,dst=/x"
	refused "cannot mix 'volume-*' options with mount type 'bind'" "type=bind,src=/tmp,dst=/x,volume-nocopy"
	refused "cannot mix 'tmpfs-*' options with mount type 'volume'" "dst=/x,tmpfs-size=1m"
	refused "mount path must be absolute" "type=bind,src=rel,dst=/x"
	refused "mount path must be absolute" "type=bind,src=/tmp,dst=x"
	refused "destination can't be '/'" "type=bind,src=/tmp,dst=/"
	refused "field Source must not be specified" "type=tmpfs,src=x,dst=/x"
	refused "is not possible" "type=bind,src=/tmp,dst=/x,bind-propagation=shared"
	refused "subpath must be a relative path" "src=mvol,dst=/x,volume-subpath=../up"
	run --separate-stderr zl create -v "$PWD:/x" --mount type=bind,src="$PWD",dst=/x busybox true
	[ "$status" != 0 ]
	stderr_has "Duplicate mount point: /x"
	[ "$(zl volume ls -q)" = mvol ]
	zl volume rm mvol >/dev/null
	[ ! -e none ]
	zl create --name m2 -v "$PWD/made/deep:/x" busybox true >/dev/null
	[ -d made/deep ]
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
	run --separate-stderr zl create -v "$PWD/sock:/sock" busybox true
	one_line_error
	stderr_has "a socket of the host's cannot be reached"
	zl rm m2 >/dev/null
}

# bats test_tags=quick
@test "--volumes-from, read-only and in front of the image's" {
	zl create --name source -v fromvol:/data -v "$PWD:/host" busybox true >/dev/null
	zl create --name user1 --volumes-from source vol:latest >/dev/null
	[ "$(zl inspect user1 | jq -r '.[0].Mounts[] | "\(.Name // "-"):\(.Destination):\(.RW)"' | grep -v ':/empty:' | sort | xargs)" = \
		"-:/host:true fromvol:/data:true" ]
	zl create --name user2 --volumes-from source:ro busybox true >/dev/null
	[ "$(mounts user2 '{{.Destination}}:{{.RW}}' | tr ' ' '\n' | sort | xargs)" = "/data:false /host:false" ]
	[ "$(zl inspect -f '{{json .HostConfig.VolumesFrom}}' user2)" = '["source:ro"]' ]
	run --separate-stderr zl create --volumes-from nobody busybox true
	[ "$status" != 0 ]
	stderr_has "No such container: nobody"
	run --separate-stderr zl create --volumes-from source:xx busybox true
	[ "$status" != 0 ]
	zl rm -v source user1 >/dev/null
	run ! zl volume rm fromvol
	zl rm -v user2 >/dev/null
	zl volume rm fromvol >/dev/null
	[ -z "$(zl volume ls -q)" ]
}

# bats test_tags=quick
@test "a volume's folder below; one that is a folder of the host's" {
	mkdir -p dev/x
	zl volume create -o type=none -o o=bind -o device="$PWD/dev" bound >/dev/null
	echo y >f
	zl create --name b1 -v bound:/b --mount src=bound,dst=/sub,volume-subpath=x busybox true >/dev/null
	zl cp f b1:/b/
	zl cp f b1:/sub/g
	[ "$(cat dev/f dev/x/g)" = "$(printf 'y\ny')" ]
	# a link in the volume is not a way out
	mkdir secret
	ln -s "$PWD/secret" dev/out
	run zl create --name b2 --mount src=bound,dst=/sub,volume-subpath=out busybox true
	run ! zl cp f b2:/sub/f
	[ -z "$(ls secret)" ]
	zl rm b1 b2 >/dev/null 2>&1 || true
	zl volume rm bound >/dev/null
	[ "$(cat dev/f)" = y ]
}

# bats test_tags=quick
@test "prune: named ones with -a only; system prune and system df count them" {
	zl volume create keep --label x=y >/dev/null
	zl volume create >/dev/null
	head -c 1000 /dev/zero >thousand
	zl create --name holds -v big:/big busybox true >/dev/null
	zl cp thousand holds:/big
	[ "$(zl system df --format '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}' | grep Local)" = \
		"Local Volumes 3 1 1kB 0B (0%)" ]
	zl system df -v | grep -qE '^big +1 +1kB$'
	[ "$(echo n | zl volume prune | head -1)" = \
		"WARNING! This will remove anonymous local volumes not used by at least one container." ]
	[ "$(zl volume ls -q | wc -l)" = 3 ]
	run -0 --separate-stderr zl system prune -f --volumes
	output_has "Deleted Volumes:"
	[ "$(zl volume ls -q | xargs)" = "big keep" ]
	zl volume prune -f --filter 'label!=x=y' -a >/dev/null
	[ "$(zl volume ls -q | xargs)" = keep ]
	zl volume prune -f -a >/dev/null
	[ -z "$(zl volume ls -q)" ]
}

# bats test_tags=quick
@test "two at once: one volume, filled once; a copying that was cut short is done again" {
	local i
	for i in {1..6}; do
		zl create --name "race$i" -v raced:/data vol:latest >/dev/null &
	done
	wait
	[ "$(zl volume ls -q -f name=raced)" = raced ]
	[ "$(zl cp race1:/data/f - | tar -xO)" = content ]
	[ "$(find "$ZL_ROOT/volumes/raced/users" -type f | wc -l)" = 6 ]
	run ! zl volume rm raced
	zl rm -v race{1..6} >/dev/null
	# what a killed one left behind
	rm "$ZL_ROOT"/volumes/raced/_data/link
	touch "$ZL_ROOT"/volumes/raced/filling "$ZL_ROOT/volumes/raced/users/$(printf '0%.0s' {1..64})"
	mkdir "$ZL_ROOT"/volumes/.new-0123 "$ZL_ROOT"/volumes/.gone-x
	zl create --name again -v raced:/data vol:latest >/dev/null
	[ -h "$ZL_ROOT"/volumes/raced/_data/link ]
	[ ! -e "$ZL_ROOT"/volumes/raced/filling ]
	zl volume ls -q >/dev/null
	[ ! -e "$ZL_ROOT"/volumes/.new-0123 ]
	[ ! -e "$ZL_ROOT"/volumes/.gone-x ]
	zl rm -v again >/dev/null
	zl volume rm raced >/dev/null
	# what fails to be made leaves nothing
	zl create --name taken busybox true >/dev/null
	run ! zl create --name taken -v /anon -v half:/x busybox true
	[ "$(zl volume ls -q)" = half ]
	[ -z "$(ls "$ZL_ROOT/volumes/half/users")" ]
}

# bats test_tags=quick
@test "completion knows volumes" {
	zl volume create comp1 >/dev/null
	[ "$(zl __complete -- volume rm co)" = comp1 ]
	zl __complete -- run -v co | grep -qx comp1
	zl __complete -- volume '' | grep -q '^create'
	zl volume rm comp1 >/dev/null
}
