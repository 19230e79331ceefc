_hubctl() {
    local line="${COMP_LINE:0:COMP_POINT}" words at last
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    words=("${words[@]#[\'\"]}")
    at=$((${#words[@]} - 1))
    last="${words[at]}"
    local IFS=$'\013'
    COMPREPLY=($(_CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$at HUBCTL_COMPLETE=bash hubctl -- "${words[@]}" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"${last%"$2"}"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/:,] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o bashdefault -F _hubctl hubctl
