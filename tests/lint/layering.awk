# layering.awk: checks #include lines against tests/lint/layers; the table is the first file read.
function room_of(file,    r) {
	r = file
	sub(/\/[^\/]*$/, "", r)
	while (!(r in rooms) && r ~ /\//)
		sub(/\/[^\/]*$/, "", r)
	return r
}

function allowed(list, what,    i, n, p) {
	n = split(list, p, " ")
	for (i = 1; i <= n; i++)
		if (index(what, p[i]) == 1)
			return 1
	return 0
}

FNR == NR {
	if ($1 == "room:") {
		rooms[$2] = ""
		for (i = 3; i <= NF; i++)
			rooms[$2] = rooms[$2] " " $i
	} else if ($1 == "library:") {
		libs[++nlibs] = $2
		for (i = 3; i <= NF; i++)
			users[$2] = users[$2] " " $i
	}
	next
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, q, "\"")
	mine = room_of(FILENAME)
	if (q[2] !~ /\//)
		bad(q[2] ": write it from the project's root")
	else if (!(mine in rooms))
		bad(mine " is in no row of tests/lint/layers")
	else if (room_of(q[2]) != mine && !allowed(rooms[mine], q[2]))
		bad(mine " may not include " q[2])
}

/^[ \t]*#[ \t]*include[ \t]*</ {
	split($0, q, /[<>]/)
	for (i = 1; i <= nlibs; i++)
		if (index(q[2], libs[i]) == 1 && !allowed(users[libs[i]], FILENAME))
			bad("<" q[2] "> is only for" users[libs[i]])
}

function bad(why) {
	printf "%s:%d: %s\n", FILENAME, FNR, why
	failed = 1
}

END {
	exit failed
}
