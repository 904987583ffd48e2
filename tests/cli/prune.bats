#!/usr/bin/env bats
# prune.bats: history, filters, what takes room on the disk, and giving it back.

load ../lib/common

setup_file() {
	zl_setup_file
}

teardown_file() {
	zl_teardown_file
}

setup() {
	export ZL_ROOT=$BATS_TEST_TMPDIR/root
	cd "$BATS_TEST_TMPDIR" || return
	load_images busybox entry layers
}

names() {
	zl images --format '{{.Repository}}:{{.Tag}}' "$@" | sort | tr '\n' ' '
}

# bats test_tags=quick
@test "history: docker's columns, newest first" {
	run -0 zl history --format '{{.ID}}|{{.CreatedAt}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}' entry
	id=$(zl image inspect -f '{{.Id}}' entry)
	size=$(zl images --format '{{.Size}}' busybox)
	output_is "${id:7:12}|2024-05-06T07:08:09Z|tests|6B|
<missing>|2024-05-06T07:08:09Z|tests|$size|"
	run -0 zl history layers
	[[ ${lines[0]} =~ ^"IMAGE "+"CREATED "+"CREATED BY "+"SIZE "+"COMMENT"$ ]]
	[ ${#lines[@]} = 5 ]
	run -0 zl image history -q --no-trunc entry
	output_is "$id
<missing>"
	run -0 zl history -H=false --format '{{.CreatedSince}} {{.Size}}' entry
	[ "${lines[0]}" = "2024-05-06T07:08:09Z 6" ]
	run -0 zl history --format json entry
	jq -es 'length == 2 and (.[0] | keys == ["Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"])' <<<"$output"
	run --separate-stderr zl history nosuch
	status_is 1
	one_line_error
	stderr_has "No such image: nosuch:latest"
}

@test "images by filter" {
	zl tag busybox other/busybox:1.0
	[ "$(names -f label=from.image)" = "entry:latest " ]
	[ "$(names -f label=from.image=1)" = "entry:latest " ]
	[ "$(names -f label=from.image=2)" = "" ]
	[ "$(names -f 'reference=*/busybox')" = "other/busybox:1.0 " ]
	[ "$(names -f 'reference=*:latest' -f 'reference=other/*:*')" = \
		"busybox:latest entry:latest layers:latest other/busybox:1.0 " ]
	[ "$(names -f until=24h)" = "busybox:latest entry:latest layers:latest other/busybox:1.0 " ]
	[ "$(names -f until=2020-01-01)" = "" ]
	[ "$(names -f dangling=true)" = "" ]
	run --separate-stderr zl images -f nothing
	status_is 125
	one_line_error
	for bad in nokey=1 until=soon dangling=perhaps before=nosuch; do
		run --separate-stderr zl images -f "$bad"
		status_is 1
		one_line_error
	done
}

@test "image prune takes nameless images, and with -a all that no container uses" {
	zl create --name user busybox true
	zl tag entry layers # layers:latest moves: the old one has no name any more
	run -0 bash -c 'echo n | zl image prune'
	output_is "WARNING! This will remove all dangling images.
Are you sure you want to continue? [y/N] "
	run -0 bash -c 'echo y | zl image prune'
	output_has "deleted: sha256:"
	[[ $output =~ "Total reclaimed space: "[1-9][0-9.]*MB$ ]]
	[ "$(names)" = "busybox:latest entry:latest layers:latest " ]
	run -0 zl image prune -f
	output_is "Total reclaimed space: 0B"
	run -0 zl image prune -af --filter label!=from.image
	output_is "Total reclaimed space: 0B"
	run -0 bash -c 'zl image prune -a </dev/null'
	output_has "WARNING! This will remove all images without at least one container associated to them."
	run -0 zl image prune -af --filter until=2020-01-01
	[ "$(names)" = "busybox:latest entry:latest layers:latest " ]
	run -0 zl image prune -af
	output_has "untagged: entry:latest"
	output_has "untagged: layers:latest"
	[ "$(names)" = "busybox:latest " ]
	store_is_clean
	zl rm user
	zl image prune -af
	[ -z "$(names)" ]
	[ -z "$(find "$ZL_ROOT/blobs" "$ZL_ROOT/layers" -mindepth 2)" ]
	run --separate-stderr zl image prune -f --filter until=1h --filter until=2h
	one_line_error
}

@test "system df adds up, and prune gives it back" {
	run -0 zl system df
	[[ ${lines[0]} =~ ^"TYPE "+"TOTAL "+"ACTIVE "+"SIZE "+"RECLAIMABLE"$ ]]
	all=$(du -sb --apparent-size "$ZL_ROOT/blobs/sha256" "$ZL_ROOT/layers" | awk '{n += $1} END {print n}')
	run -0 zl system df --format '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}'
	[[ ${lines[0]} =~ ^"Images 3 0 "([0-9.]+)"MB "([0-9.]+)"MB (100%)"$ ]]
	# du counts folders and symlinks too.
	awk -v a="${BASH_REMATCH[1]}" -v b="$all" 'BEGIN { exit !(a * 1e6 < b && a * 1e6 > b - 6e5) }' ||
		fail "${lines[0]} but $all"
	[ "${lines[1]}" = "Containers 0 0 0B 0B" ]
	zl create --name user busybox true
	run -0 zl system df --format json
	jq -es '.[0].Active == "1" and .[1].TotalCount == "1"' <<<"$output"
	run -0 zl system df -v
	output_has "Images space usage:"
	output_has "UNIQUE SIZE"
	output_has "Containers space usage:"
	run -0 zl system df -v --format '{{range .Images}}{{.Repository}} {{.Containers}} {{end}}'
	output_has "busybox 1"
	output_has "entry 0"
	run -0 bash -c 'zl system prune -a --filter label!=keep </dev/null'
	output_is "WARNING! This will remove:
  - all stopped containers
  - all images without at least one container associated to them

  Items to be pruned will be filtered with:
  - label!=keep

Are you sure you want to continue? [y/N] "
	[ -n "$(zl ps -aq)" ]
	run -0 zl system prune -f
	output_has "Deleted Containers:"
	[ -z "$(zl ps -aq)" ]
	[ "$(names)" = "busybox:latest entry:latest layers:latest " ]
	run -0 zl system prune -af
	output_has "Deleted Images:"
	run -0 zl system df --format '{{.Size}}'
	output_is "0B
0B
0B"
}

@test "container prune by label and age" {
	zl create --name first --label keep=1 busybox true
	zl create --name second busybox true
	run -0 zl container prune -f --filter until=24h
	output_is "Total reclaimed space: 0B"
	run -0 zl container prune -f --filter label!=keep
	[ "$(zl ps -a --format '{{.Names}}')" = first ]
	run -0 bash -c 'echo Y | zl container prune'
	output_has "WARNING! This will remove all stopped containers."
	[ -z "$(zl ps -aq)" ]
}
