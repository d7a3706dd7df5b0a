# Read by the scripts here: -h or --help prints the comment at the script's beginning.
if [[ ${1:-} == @(-h|--help) ]]; then
    sed -n '2,/^[^#]/s/^# \?//p' "$0"
    exit
fi
