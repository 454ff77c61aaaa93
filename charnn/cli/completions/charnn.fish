# Completion of charnn's command line in fish.
function __charnn_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (env _CHARNN_COMPLETE=fish $words[1] $words[2..-1] 2>/dev/null)
    if test "$lines[1]" = files
        __fish_complete_path (commandline -ct)
    else if test (count $lines) -gt 1
        printf '%s\n' $lines[2..-1]
    end
end
complete -c charnn -f -a '(__charnn_complete)'
