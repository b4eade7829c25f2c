# bash completion for elevate. Put into ~/.bashrc: eval "$(elevate completion bash)"

_elevate() {
    # Words as they were typed: bash has broken them at each = and : as well.
    local words=() word i glue= current=0 offset=0
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $glue || ($word == [=:]* && $i -gt 0 && $word != "${word#[=:]}") ]]; then
            words[current]+=$word
            glue=
            [[ $word == *[=:] ]] && glue=1
        else
            current=${#words[@]}
            words[current]=$word
        fi
        if [[ $word == -- && $i -lt $COMP_CWORD ]]; then
            _elevate_command $((i + 1))
            return
        fi
    done
    # What bash takes for done already, and would see twice.
    offset=$((${#words[current]} - ${#COMP_WORDS[COMP_CWORD]}))
    [[ ${COMP_WORDS[COMP_CWORD]} == [=:] ]] && offset=${#words[current]}

    local line value
    COMPREPLY=()
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        printf -v value %q "${value:offset}"
        COMPREPLY+=("$value")
    done < <(command elevate complete-words "$current" -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace
    fi
}

# After -- stands a command: whatever completes that.
_elevate_command() {
    local first=$1
    if declare -F _command_offset >/dev/null; then
        _command_offset "$first"
    elif ((first == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
    else
        compopt -o default
        COMPREPLY=()
    fi
}

complete -F _elevate elevate
