# Written by `elevate shell`; read by zsh in place of .zshenv. From here on everything is read from where it always is.
if [[ -n ${ELEVATE_USER_ZDOTDIR+set} ]]; then
    export ZDOTDIR=$ELEVATE_USER_ZDOTDIR
    unset ELEVATE_USER_ZDOTDIR
else
    unset ZDOTDIR
fi
if [[ -f ${ZDOTDIR:-$HOME}/.zshenv ]]; then
    source "${ZDOTDIR:-$HOME}/.zshenv"
fi
if [[ -o interactive ]]; then
    typeset -g __elevate_resource=$ELEVATE_RESOURCE
    __elevate_prompt() {
        [[ $PROMPT == "($__elevate_resource) "* ]] || PROMPT="($__elevate_resource) $PROMPT"
    }
    typeset -ga precmd_functions
    precmd_functions+=(__elevate_prompt)
fi
