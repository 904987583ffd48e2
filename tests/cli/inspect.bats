#!/usr/bin/env bats
# inspect.bats: what inspect prints of containers: docker's fields, true values, docker's ways to fail.

load ../lib/common

setup_file() {
	zl_setup_file
	load_images busybox entry
	mkdir -p data
	zl create -q --name plain busybox true
	zl create -q --name full --label tier=front -l note='a "quoted" <one>' -v "$PWD/data:/data:ro" --tmpfs /t:size=1m \
		-e A=B -w /srv -u 1:2 -m 64m --cpus 1.5 --cap-add NET_ADMIN --cap-drop MKNOD --read-only --init -i \
		--add-host x:1.2.3.4 --hostname here --stop-signal QUIT --stop-timeout 3 --rm entry one 'two three'
}

teardown_file() {
	zl_teardown_file
}

# fields PATH: the names under an object, in order, with the types of their values.
fields() {
	zl inspect "${2:-plain}" | jq -r ".[0]$1 | to_entries[] | \"\(.key) \(.value | type)\"" | paste -sd,
}

@test "the fields of a container, their order and their types are docker's" {
	run -0 fields ""
	output_is "Id string,Created string,Path string,Args array,State object,Image string,ResolvConfPath string,HostnamePath string,HostsPath string,LogPath string,Name string,RestartCount number,Driver string,Platform string,MountLabel string,ProcessLabel string,AppArmorProfile string,ExecIDs null,HostConfig object,GraphDriver object,Mounts array,Config object,NetworkSettings object"
	run -0 fields .State
	output_is "Status string,Running boolean,Paused boolean,Restarting boolean,OOMKilled boolean,Dead boolean,Pid number,ExitCode number,Error string,StartedAt string,FinishedAt string"
	run -0 fields .Config
	output_is "Hostname string,Domainname string,User string,AttachStdin boolean,AttachStdout boolean,AttachStderr boolean,Tty boolean,OpenStdin boolean,StdinOnce boolean,Env array,Cmd array,Image string,Volumes null,WorkingDir string,Entrypoint null,OnBuild null,Labels object,StopSignal string"
	run -0 fields .HostConfig
	output_is "Binds null,ContainerIDFile string,LogConfig object,NetworkMode string,PortBindings object,RestartPolicy object,AutoRemove boolean,VolumeDriver string,VolumesFrom null,ConsoleSize array,CapAdd null,CapDrop null,CgroupnsMode string,Dns array,DnsOptions array,DnsSearch array,ExtraHosts null,GroupAdd null,IpcMode string,Cgroup string,Links null,OomScoreAdj number,PidMode string,Privileged boolean,PublishAllPorts boolean,ReadonlyRootfs boolean,SecurityOpt null,UTSMode string,UsernsMode string,ShmSize number,Runtime string,Isolation string,CpuShares number,Memory number,NanoCpus number,CgroupParent string,BlkioWeight number,BlkioWeightDevice array,BlkioDeviceReadBps array,BlkioDeviceWriteBps array,BlkioDeviceReadIOps array,BlkioDeviceWriteIOps array,CpuPeriod number,CpuQuota number,CpuRealtimePeriod number,CpuRealtimeRuntime number,CpusetCpus string,CpusetMems string,Devices array,DeviceCgroupRules null,DeviceRequests null,MemoryReservation number,MemorySwap number,MemorySwappiness null,OomKillDisable null,PidsLimit null,Ulimits array,CpuCount number,CpuPercent number,IOMaximumIOps number,IOMaximumBandwidth number,MaskedPaths array,ReadonlyPaths array"
	run -0 fields .NetworkSettings
	output_is "Bridge string,SandboxID string,SandboxKey string,Ports object,HairpinMode boolean,LinkLocalIPv6Address string,LinkLocalIPv6PrefixLen number,SecondaryIPAddresses null,SecondaryIPv6Addresses null,EndpointID string,Gateway string,GlobalIPv6Address string,GlobalIPv6PrefixLen number,IPAddress string,IPPrefixLen number,IPv6Gateway string,MacAddress string,Networks object"
	run -0 fields .GraphDriver.Data
	output_is "LowerDir string,UpperDir string"
	run -0 fields .Mounts[0] full
	output_is "Type string,Source string,Destination string,Mode string,RW boolean,Propagation string"
}

@test "values are what was asked for" {
	zl inspect full | jq -e --arg pwd "$PWD" '.[0] | .Name == "/full" and (.Id | length == 64) and
		.Path == "/bin/echo" and (.Args | index("two three")) and .Config.Image == "entry" and
		.Config.Labels == {"from.image": "1", tier: "front", note: "a \"quoted\" <one>"} and
		(.Config.Env | index("A=B")) and .Config.WorkingDir == "/srv" and .Config.User == "1:2" and
		.Config.Hostname == "here" and .Config.StopSignal == "QUIT" and .Config.StopTimeout == 3 and
		.Config.OpenStdin and .Config.Cmd == ["one", "two three"] and
		.HostConfig.Binds == ["\($pwd)/data:/data:ro"] and .HostConfig.Memory == 67108864 and
		.HostConfig.NanoCpus == 1500000000 and .HostConfig.CapAdd == ["CAP_NET_ADMIN"] and
		.HostConfig.CapDrop == ["CAP_MKNOD"] and .HostConfig.ReadonlyRootfs and .HostConfig.Init and
		.HostConfig.AutoRemove and .HostConfig.ExtraHosts == ["x:1.2.3.4"] and
		(.HostConfig.Tmpfs | keys == ["/t"]) and (.HostConfig.MaskedPaths | length > 5) and
		(.Mounts | length == 1 and .[0].Source == "\($pwd)/data" and .[0].RW == false)' ||
		fail "$(zl inspect full)"
}

@test "-s adds sizes, of containers only" {
	zl inspect -s plain | jq -e '.[0].SizeRw == 0 and .[0].SizeRootFs > 100000'
	zl container inspect --size plain | jq -e '.[0].SizeRw == 0'
	zl inspect plain | jq -e '.[0] | has("SizeRw") | not'
	run -0 --separate-stderr zl inspect -s busybox
	stderr_has "WARNING: --size ignored for images"
}

@test "several operands: what is there is printed, the rest is told" {
	run --separate-stderr zl inspect plain nosuch busybox neither
	status_is 1
	jq -e 'length == 2 and .[0].Name == "/plain" and (.[1].RepoTags | index("busybox:latest"))' <<<"$output"
	[ "$stderr" = $'zl: No such object: nosuch\nzl: No such object: neither' ] || fail "$stderr"
	run --separate-stderr zl inspect nosuch
	status_is 1
	output_is "[]"
	run -0 --separate-stderr zl inspect -f json plain full
	[ "${#lines[@]}" = 1 ]
	jq -e 'length == 2' <<<"$output"
	run -0 --separate-stderr zl inspect -f '{{json .Name}}' plain full
	output_is $'"/plain"\n"/full"'
}

@test "--type" {
	run --separate-stderr zl inspect --type image plain
	status_is 1
	stderr_has "No such image: plain"
	run --separate-stderr zl inspect --type container busybox
	status_is 1
	stderr_has "No such container: busybox"
	run --separate-stderr zl inspect --type banana plain
	status_is 1
	stderr_has '"banana" is not a valid value for --type'
}

@test "templates: Go's names, maps without the key, mistakes" {
	run -0 --separate-stderr zl inspect -f '{{.ID}} {{.Id}}' plain
	[ "${output% *}" = "${output#* }" ]
	run -0 --separate-stderr zl inspect -f '{{.Config.Labels.nosuch}}|{{index .Config.Labels "nosuch"}}' plain
	output_is '<no value>|'
	run --separate-stderr zl inspect -f '{{.Nonsense}}' plain
	status_is 1
	[ -z "$output" ]
	stderr_has 'template parsing error'
	stderr_has 'map has no entry for key "Nonsense"'
	run --separate-stderr zl inspect -f '{{.Id' plain
	status_is 64
	stderr_has 'template parsing error'
}

# bats test_tags=quick
@test "version and info have docker's structure for programs" {
	run -0 --separate-stderr zl version --format '{{json .}}'
	jq -e '(.Client | keys_unsorted) == ["Version", "ApiVersion", "DefaultAPIVersion", "GitCommit", "GoVersion", "Os", "Arch",
		"BuildTime", "Context"] and (.Server.Platform.Name == "zl") and .Server.Version == .Client.Version and
		.Server.Components[0].Name == "Engine" and (.Server.Components[0].Details | map(type) | unique) == ["string"]' <<<"$output"
	run -0 --separate-stderr zl version -f '{{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.Os}}'
	[[ $output =~ ^1\.[0-9]+\ 1\.[0-9]+\ linux$ ]]
	run -0 --separate-stderr zl info --format json
	jq -e '.Containers >= 0 and .ServerVersion and (.SecurityOptions | type == "array") and .OSType == "linux" and
		(.Plugins | keys == ["Authorization", "Log", "Network", "Volume"]) and .Swarm.LocalNodeState == "inactive" and
		.Runtimes[.DefaultRuntime].path and .ClientInfo.Context == "default" and .NCPU > 0 and .MemTotal > 0' <<<"$output"
	run -0 --separate-stderr zl system info -f '{{.Driver}} {{.LoggingDriver}} {{.CgroupVersion}}'
	output_is "zl json-file 2"
	run --separate-stderr zl info -f '{{'
	status_is 64
}
