# zl.bash: completion for bash; everything it offers comes from `zl __complete`.
# shellcheck shell=bash

_zl() {
	local line=${COMP_LINE:0:COMP_POINT} words cur front candidate
	read -ra words <<<"$line"
	[[ $line != *[[:space:]] ]] || words+=("")
	cur=${words[-1]}
	# bash takes a word apart at = and : (COMP_WORDBREAKS); the part in front stays on the line.
	front=${cur%"${cur##*[=:]}"}
	COMPREPLY=()
	while IFS= read -r candidate; do
		candidate=${candidate%%$'\t'*}
		case $candidate in
		:file | :dir)
			compopt -o filenames 2>/dev/null
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${cur#"$front"}")
			;;
		*)
			[[ $candidate != *= ]] || compopt -o nospace 2>/dev/null
			COMPREPLY+=("${candidate#"$front"}")
			;;
		esac
	done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _zl zl
