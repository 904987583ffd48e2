# zl.fish: completion for fish; everything it offers comes from `zl __complete`.

function __zl_complete
	set -l words (commandline -opc) (commandline -ct)
	$words[1] __complete -- $words[2..-1] 2>/dev/null | while read -l candidate
		switch $candidate
			case :file :dir
				__fish_complete_path (commandline -ct)
			case '*'
				echo $candidate
		end
	end
end

complete -c zl -f -a '(__zl_complete)'
