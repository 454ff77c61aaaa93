# Completion of charnn's command line in bash.
_charnn() {
    local line kind="" tab=$'\t'
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind=$line; else COMPREPLY+=("${line%%"$tab"*}"); fi
    done < <(_CHARNN_COMPLETE=bash "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    case $kind in
        paths) compopt -o filenames 2>/dev/null ;;
        files) compopt -o default 2>/dev/null ;;
    esac
    return 0
}
complete -F _charnn charnn
