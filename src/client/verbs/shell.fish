set -g __elevate_resource $ELEVATE_RESOURCE
functions --query fish_prompt; and functions --copy fish_prompt __elevate_user_prompt
function __elevate_status; return $argv[1]; end
function fish_prompt
    set -l last $status
    printf '(%s) ' $__elevate_resource
    if functions --query __elevate_user_prompt
        __elevate_status $last
        __elevate_user_prompt
    else
        printf '> '
    end
end
