# Is .venv what pyproject.toml asks for? Asked at every start, so shell built-ins only: no program is started for the answer.
# Sourced by `run` and `test` (bash 3.2 and later); what it takes to get there is in install.sh.
#
#   root=...                      the checkout, set by the caller
#   up_to_date [EXTRA...]         is all there, for these extras of pyproject.toml (and for a window, with need_window=yes)?
#   make_environment [EXTRA...]   brings it there
# shellcheck shell=bash disable=SC2154,SC2034

venv=$root/.venv
stamp=$venv/playground.stamp # what .venv was made of; absent: not finished
unfinished=$venv/.installing # there while an install changes .venv; left behind by one that was killed
constraints=$root/packaging/constraints.txt

make_environment() {
    . "$root/packaging/install.sh"
    install "$@"
}

# Sets `cpu`: what of this processor llama.cpp has code for, by the names in /proc/cpuinfo. Empty where the compiler may look itself.
# AMX is not among them: gcc 12 drops stores before `ldtilecfg`, and every quantized model then crashes.
read_cpu() {
    local line feature LC_ALL=C
    cpu=
    [ "$HOSTTYPE" = x86_64 ] && [ -r "${PLAYGROUND_CPUINFO:-/proc/cpuinfo}" ] || return 0
    while IFS= read -r line; do
        case $line in flags*) break ;; esac
    done <"${PLAYGROUND_CPUINFO:-/proc/cpuinfo}"
    for feature in sse4_2 avx avx2 fma f16c bmi2 avx_vnni avx512f avx512cd avx512bw avx512dq avx512vl \
        avx512_vbmi avx512vbmi avx512_vnni avx512_bf16; do
        case "$line " in *" $feature "*) cpu="$cpu $feature" ;; esac
    done
    cpu=${cpu# }
}

# Both without starting a program: a start asks them each time.
has_gpu() { [ -e /dev/nvidia0 ] || [ -e /proc/driver/nvidia/version ] || { [ -e /dev/dxg ] && [ -e /usr/lib/wsl/lib/libcuda.so.1 ]; }; }
find_nvcc() {
    nvcc=$(type -P nvcc) || nvcc=
    [ -n "$nvcc" ] || [ ! -x /usr/local/cuda/bin/nvcc ] || nvcc=/usr/local/cuda/bin/nvcc
    [ -n "$nvcc" ]
}

# Sets `wanted`: the text of the files that say what belongs into .venv.
read_wanted() {
    local project pinned LC_ALL=C
    IFS= read -r -d '' project <"$root/pyproject.toml" || :
    IFS= read -r -d '' pinned <"$constraints" || :
    wanted=$project$pinned
}

# Reads the stamp into made_*; false if there is none.
read_stamp() {
    local LC_ALL=C
    made_root=; made_base=; made_cpu=; made_llama=; made_key=; made_qt=; made_extras=; made_of=
    [ -r "$stamp" ] || return 1
    {
        IFS= read -r made_root
        IFS= read -r made_base
        IFS= read -r made_cpu
        IFS= read -r made_llama
        IFS= read -r made_key
        IFS= read -r made_qt
        IFS= read -r made_extras
        IFS= read -r -d '' made_of
    } <"$stamp"
    [ -n "$made_of" ]
}

up_to_date() {
    local extra
    read_stamp || return 1
    [ ! -e "$unfinished" ] && [ "$made_root" = "$root" ] && [ -x "$made_base" ] && [ -x "$venv/bin/playground" ] || return 1
    [ "$made_qt" = yes ] || [ -z "${need_window:-}" ] || return 1
    for extra in "$@" ${PLAYGROUND_EXTRAS:-}; do
        case " $made_extras " in *" $extra "*) ;; *) return 1 ;; esac
    done
    read_cpu
    [ "$made_cpu" = "$cpu" ] || return 1
    if [ "$made_llama" = cpu ] && has_gpu && find_nvcc; then return 1; fi # a toolkit has come since
    read_wanted
    [ "$made_of" = "$wanted" ]
}
