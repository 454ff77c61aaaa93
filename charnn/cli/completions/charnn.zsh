#compdef charnn
# Completion of charnn's command line in zsh.
_charnn() {
    local -a lines items
    local kind line
    lines=("${(@f)$(_CHARNN_COMPLETE=zsh ${(Q)words[1]} "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    kind=$lines[1]
    lines=("${(@)lines[2,-1]}")
    case $kind in
        paths)
            items=(${(M)lines:#*/})
            (( $#items )) && compadd -f -S '' -a items
            items=(${lines:#*/})
            (( $#items )) && compadd -f -a items
            ;;
        files) _files ;;
        words)
            for line in $lines; do
                if [[ $line == *$'\t'* ]]; then
                    items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
                else
                    items+=("${line//:/\\:}")
                fi
            done
            (( $#items )) && _describe charnn items
            ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _charnn "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _charnn charnn
fi
