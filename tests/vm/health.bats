#!/usr/bin/env bats
# health.bats: health checks, from the image and from the command line.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox
}

teardown_file() {
	zl_teardown_file
}

setup() {
	needs_vm
}

teardown() {
	zl ps -aq | xargs -r "$ZL" rm -f >/dev/null
}

health_is() {
	[ "$(zl inspect -f '{{.State.Health.Status}}' "$1")" = "$2" ]
}

# bats test_tags=core
@test "starting, healthy, unhealthy: in ps and inspect, with what the checks said" {
	zl run -qd --name he --health-cmd 'echo "looking as $(id -u) in $PWD"; echo bad >&2; test -e /ok' -u user -w /tmp \
		--health-interval 200ms --health-retries 2 --health-start-period 60s --health-start-interval 100ms busybox sleep 1000
	run -0 zl ps --format '{{.Status}}'
	[[ $output == "Up "*" (health: starting)" ]] || fail "$output"
	# within the start period no failure counts
	wait_until 30 bash -c '[ $(zl inspect -f "{{len .State.Health.Log}}" he) = 5 ]'
	[ "$(zl inspect -f '{{.State.Health.Status}} {{.State.Health.FailingStreak}}' he)" = "starting 0" ]
	zl exec -u 0 he touch /ok
	wait_until 30 health_is he healthy
	run -0 zl ps --format '{{.Status}}'
	[[ $output == "Up "*" (healthy)" ]] || fail "$output"
	[ "$(zl inspect -f '{{(index .State.Health.Log 4).ExitCode}} {{.State.Health.FailingStreak}}' he)" = "0 0" ]
	[ "$(zl inspect -f '{{(index .State.Health.Log 4).Output}}' he | sort)" = $'\nbad\nlooking as 1000 in /tmp' ]
	# past it, they do: a check has succeeded
	zl exec -u 0 he rm /ok
	wait_until 30 health_is he unhealthy
	run -0 zl ps --format '{{.Status}}'
	[[ $output == "Up "*" (unhealthy)" ]] || fail "$output"
	[ "$(zl inspect -f '{{json .Config.Healthcheck}}' he)" = '{"Test":["CMD-SHELL","echo \"looking as $(id -u) in $PWD\"; echo bad >&2; test -e /ok"],"Interval":200000000,"StartPeriod":60000000000,"StartInterval":100000000,"Retries":2}' ]
	# a paused one is not asked
	zl exec -u 0 he touch /ok
	wait_until 30 health_is he healthy
	zl pause he
	before=$(zl inspect -f '{{json .State.Health.Log}}' he)
	sleep 1
	[ "$(zl inspect -f '{{json .State.Health.Log}}' he)" = "$before" ]
	zl unpause he
	wait_until 30 bash -c "[ \"\$(zl inspect -f '{{json .State.Health.Log}}' he)\" != '$before' ]"
	zl stop -t 0 he
	health_is he unhealthy
}

@test "a check that takes too long is killed; much output is cut; what is not there fails" {
	zl run -qd --name long --health-cmd 'echo so far; exec sleep 1000' --health-timeout 300ms --health-interval 100ms \
		--health-retries 1 busybox sleep 1000
	wait_until 30 health_is long unhealthy
	[ "$(zl inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' long)" = $'-1 Health check exceeded timeout (300ms): so far\n' ] ||
		[[ $(zl inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' long) == "-1 Health check exceeded timeout (300ms)"* ]]
	# none is left in there but the one that runs just now
	run -0 zl exec long sh -c 'ls -d /proc/[0-9]* | wc -l'
	[ "$output" -lt 10 ]
	zl rm -f long
	zl run -qd --name much --health-cmd 'yes | head -c 100000' --health-interval 100ms busybox sleep 1000
	wait_until 30 health_is much healthy
	[ "$(zl inspect -f '{{(index .State.Health.Log 0).Output}}' much | wc -c)" = 4100 ]
	zl inspect -f '{{(index .State.Health.Log 0).Output}}' much | tail -n 1 | grep -qx '\.\.\.'
	zl rm -f much
}

@test "the image's HEALTHCHECK: taken over, changed in parts, switched off" {
	zl create --name maker busybox true
	# a check as a list of words, of an image with a shell of its own
	zl commit -c 'HEALTHCHECK --interval=250ms --retries=1 CMD ["test", "-e", "/ok"]' maker checked
	run -0 zl image inspect -f '{{json .Config.Healthcheck}}' checked
	output_is '{"Test":["CMD","test","-e","/ok"],"Interval":250000000,"Retries":1}'
	zl run -qd --name img checked sleep 1000
	wait_until 30 health_is img unhealthy
	zl exec img touch /ok
	wait_until 30 health_is img healthy
	zl rm -f img
	zl create --name part --health-retries 7 checked sleep 1000
	[ "$(zl inspect -f '{{json .Config.Healthcheck}}' part)" = '{"Test":["CMD","test","-e","/ok"],"Interval":250000000,"Retries":7}' ]
	zl run -qd --name off --no-healthcheck checked sleep 1000
	sleep 1
	[ "$(zl inspect -f '{{json .Config.Healthcheck.Test}} {{json .State}}' off | grep -c Health)" = 0 ]
	run -0 zl ps --format '{{.Status}}'
	[[ $output != *health* ]] || fail "$output"
}
