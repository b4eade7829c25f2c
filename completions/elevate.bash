_elevate() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="elevate"
                ;;
            elevate,admin)
                cmd="elevate__subcmd__admin"
                ;;
            elevate,audit)
                cmd="elevate__subcmd__audit"
                ;;
            elevate,demo)
                cmd="elevate__subcmd__demo"
                ;;
            elevate,demo-call)
                cmd="elevate__subcmd__demo__subcmd__call"
                ;;
            elevate,doctor)
                cmd="elevate__subcmd__doctor"
                ;;
            elevate,drive-security-key)
                cmd="elevate__subcmd__drive__subcmd__security__subcmd__key"
                ;;
            elevate,drop)
                cmd="elevate__subcmd__drop"
                ;;
            elevate,env)
                cmd="elevate__subcmd__env"
                ;;
            elevate,explain)
                cmd="elevate__subcmd__explain"
                ;;
            elevate,init)
                cmd="elevate__subcmd__init"
                ;;
            elevate,key)
                cmd="elevate__subcmd__key"
                ;;
            elevate,list)
                cmd="elevate__subcmd__list"
                ;;
            elevate,reap-expired-grants)
                cmd="elevate__subcmd__reap__subcmd__expired__subcmd__grants"
                ;;
            elevate,run)
                cmd="elevate__subcmd__run"
                ;;
            elevate,status)
                cmd="elevate__subcmd__status"
                ;;
            elevate,token)
                cmd="elevate__subcmd__token"
                ;;
            elevate__subcmd__admin,grant)
                cmd="elevate__subcmd__admin__subcmd__grant"
                ;;
            elevate__subcmd__admin,keys)
                cmd="elevate__subcmd__admin__subcmd__keys"
                ;;
            elevate__subcmd__admin,secret)
                cmd="elevate__subcmd__admin__subcmd__secret"
                ;;
            elevate__subcmd__admin,user)
                cmd="elevate__subcmd__admin__subcmd__user"
                ;;
            elevate__subcmd__admin__subcmd__grant,list)
                cmd="elevate__subcmd__admin__subcmd__grant__subcmd__list"
                ;;
            elevate__subcmd__admin__subcmd__grant,revoke)
                cmd="elevate__subcmd__admin__subcmd__grant__subcmd__revoke"
                ;;
            elevate__subcmd__admin__subcmd__keys,list)
                cmd="elevate__subcmd__admin__subcmd__keys__subcmd__list"
                ;;
            elevate__subcmd__admin__subcmd__keys,rotate)
                cmd="elevate__subcmd__admin__subcmd__keys__subcmd__rotate"
                ;;
            elevate__subcmd__admin__subcmd__secret,list)
                cmd="elevate__subcmd__admin__subcmd__secret__subcmd__list"
                ;;
            elevate__subcmd__admin__subcmd__secret,remove)
                cmd="elevate__subcmd__admin__subcmd__secret__subcmd__remove"
                ;;
            elevate__subcmd__admin__subcmd__secret,set)
                cmd="elevate__subcmd__admin__subcmd__secret__subcmd__set"
                ;;
            elevate__subcmd__admin__subcmd__user,disable)
                cmd="elevate__subcmd__admin__subcmd__user__subcmd__disable"
                ;;
            elevate__subcmd__admin__subcmd__user,enable)
                cmd="elevate__subcmd__admin__subcmd__user__subcmd__enable"
                ;;
            elevate__subcmd__admin__subcmd__user,list)
                cmd="elevate__subcmd__admin__subcmd__user__subcmd__list"
                ;;
            elevate__subcmd__audit,show)
                cmd="elevate__subcmd__audit__subcmd__show"
                ;;
            elevate__subcmd__audit,verify)
                cmd="elevate__subcmd__audit__subcmd__verify"
                ;;
            elevate__subcmd__key,enroll)
                cmd="elevate__subcmd__key__subcmd__enroll"
                ;;
            elevate__subcmd__key,list)
                cmd="elevate__subcmd__key__subcmd__list"
                ;;
            elevate__subcmd__key,pin)
                cmd="elevate__subcmd__key__subcmd__pin"
                ;;
            elevate__subcmd__key,remove)
                cmd="elevate__subcmd__key__subcmd__remove"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        elevate)
            opts="-n -A -k -K -v -l -h -V --json --non-interactive --debug --ttl --min-ttl --scope --reason --once --help --version run token env list status drop key explain audit init doctor demo admin reap-expired-grants drive-security-key demo-call"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --min-ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --scope)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reason)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin)
            opts="-n -A -h --json --non-interactive --debug --help secret user grant keys"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__grant)
            opts="-n -A -h --json --non-interactive --debug --help list revoke"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__grant__subcmd__list)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__grant__subcmd__revoke)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__keys)
            opts="-n -A -h --json --non-interactive --debug --help list rotate"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__keys__subcmd__list)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__keys__subcmd__rotate)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__secret)
            opts="-n -A -h --json --non-interactive --debug --help set remove list"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__secret__subcmd__list)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__secret__subcmd__remove)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__secret__subcmd__set)
            opts="-n -A -h --seal-to --backup --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --seal-to)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --backup)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__user)
            opts="-n -A -h --json --non-interactive --debug --help list disable enable"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__user__subcmd__disable)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__user__subcmd__enable)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__admin__subcmd__user__subcmd__list)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 4 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__audit)
            opts="-n -A -h --json --non-interactive --debug --help verify show"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__audit__subcmd__show)
            opts="-n -A -h --last --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --last)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__audit__subcmd__verify)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__demo)
            opts="-n -A -h --yes --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__demo__subcmd__call)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__doctor)
            opts="-n -A -h --udev-rule --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__drive__subcmd__security__subcmd__key)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__drop)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__env)
            opts="-k -n -A -h --ttl --min-ttl --scope --reason --once --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --min-ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --scope)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reason)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__explain)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__init)
            opts="-n -A -h --software-key --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --software-key)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__key)
            opts="-n -A -h --json --non-interactive --debug --help enroll list pin remove"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__key__subcmd__enroll)
            opts="-n -A -h --software --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__key__subcmd__list)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__key__subcmd__pin)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__key__subcmd__remove)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__list)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__reap__subcmd__expired__subcmd__grants)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__run)
            opts="-k -n -A -h --ttl --min-ttl --scope --reason --once --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --min-ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --scope)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reason)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__status)
            opts="-n -A -h --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        elevate__subcmd__token)
            opts="-k -n -A -h --ttl --min-ttl --scope --reason --once --json --non-interactive --debug --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --min-ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --scope)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reason)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _elevate -o nosort -o bashdefault -o default elevate
else
    complete -F _elevate -o bashdefault -o default elevate
fi
