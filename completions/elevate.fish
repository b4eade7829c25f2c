# fish completion for elevate. Save it: elevate completion fish >~/.config/fish/completions/elevate.fish

function __elevate_words
    set -l words (commandline -opc) (commandline -ct)
    command elevate complete-words (math (count $words) - 1) -- $words 2>/dev/null
end

function __elevate_before_command
    not contains -- -- (commandline -opc)
end

# After -- stands a command: whatever completes that.
function __elevate_command
    set -l words (commandline -opc)
    set -l rest $words[(math (contains -i -- -- $words) + 1)..]
    complete -C (string join -- ' ' (string escape -- $rest) (commandline -ct))
end

complete -c elevate -f
complete -c elevate -n __elevate_before_command -ka '(__elevate_words)'
complete -c elevate -n 'not __elevate_before_command' -ka '(__elevate_command)'
