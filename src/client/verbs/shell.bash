# Written by `elevate shell`; read by bash in place of ~/.bashrc.
[ -f ~/.bashrc ] && . ~/.bashrc
__elevate_resource=$ELEVATE_RESOURCE
__elevate_prompt() {
    case $PS1 in
    "($__elevate_resource) "*) ;;
    *) PS1="($__elevate_resource) $PS1" ;;
    esac
}
# Last, since some prompts are made anew each time.
if [[ "$(declare -p PROMPT_COMMAND 2>/dev/null)" == "declare -a"* ]]; then
    PROMPT_COMMAND+=(__elevate_prompt)
else
    PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND
}__elevate_prompt"
fi
