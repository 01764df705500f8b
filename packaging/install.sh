# What the first start does: find a Python, make .venv, build llama.cpp for this machine, install the project.
# Sourced by start.sh when .venv is not what it should be. Tried on Debian 12; the lines for Fedora and macOS (bash 3.2) are
# written from their documentation and were never run.
#
# What a person may set:
#   PLAYGROUND_PYTHON        the interpreter to use
#   PLAYGROUND_LEAN=1        leaves torch and what goes with it away (packaging/run)
#   PLAYGROUND_EXTRAS        further extras of pyproject.toml, as in "train"
#   PLAYGROUND_LLAMA_WHEEL   a wheel of llama-cpp-python to install instead of building one
#   CMAKE_ARGS               further options for llama.cpp's build
# shellcheck shell=bash disable=SC2154,SC2015

lock=$venv/.lock
has_terminal=
[ ! -t 0 ] || has_terminal=yes

# ------------------------------------------------------------------------------------------------------------ saying

say() { printf '%s\n' "$*" >&2; }

# fail SENTENCE [WAY OUT...]: a line each.
fail() {
    quiet_line
    printf 'playground: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

progress_shown=
progress_line() {
    if [ -t 2 ]; then
        printf '\r\033[K%s' "$1" >&2
        progress_shown=yes
    fi
}
quiet_line() {
    [ -z "$progress_shown" ] || printf '\r\033[K' >&2
    progress_shown=
}

# ------------------------------------------------------------------------------------------------- the system's packages

as_root() { [ "$EUID" = 0 ]; }
may_install() { as_root && [ -z "$has_terminal" ] && type -P apt-get >/dev/null; }

# The one command that a person would type for these packages: Debian's names, then Fedora's, then what macOS needs.
install_command() {
    local sudo='sudo '
    as_root && sudo=
    if type -P apt-get >/dev/null; then
        printf '%sapt-get install %s' "$sudo" "$1"
    elif type -P dnf >/dev/null; then
        printf '%sdnf install %s' "$sudo" "$2"
    elif [ "$(uname -s)" = Darwin ]; then
        printf '%s' "$3"
    else
        printf 'your package manager (on Debian: apt-get install %s)' "$1"
    fi
}

apt_updated=
apt_install() {
    local name names=()
    say "Installing Debian packages: $*"
    if [ -z "$apt_updated" ]; then
        DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$log" 2>&1 </dev/null || :
        apt_updated=yes
    fi
    for name in "$@"; do # Debian 13 and Ubuntu 24.04 renamed some
        if apt-cache show "${name}t64" >/dev/null 2>&1; then name=${name}t64; fi
        names+=("$name")
    done
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=120 --no-install-recommends "${names[@]}" >>"$log" 2>&1 </dev/null
}

# ---------------------------------------------------------------------------------------------------------------- Python

# Prints "VERSION<tab>EXECUTABLE" of a Python that runs, is new enough and has venv and pip; exit 3: venv is missing, 4: too old.
probe='
import os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
if sys.version_info < (3, 11): sys.exit(4)
try:
    import ensurepip, venv, ssl, ctypes, sqlite3
except ImportError: sys.exit(3)
print("%d.%d\t%s\t%s" % (*sys.version_info[:2], base, os.path.realpath(base)))'

find_python() {
    local candidate answer status without_venv='' old=''
    for candidate in "${PLAYGROUND_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14 python \
        /usr/bin/python3 /usr/local/bin/python3 /opt/homebrew/bin/python3; do
        [ -n "$candidate" ] && type -P "$candidate" >/dev/null || continue
        answer=$("$candidate" -I -c "$probe" 2>/dev/null </dev/null)
        status=$?
        case $status in # a shim may exist and fail (pyenv): only an answer counts
            0)
                IFS=$'\t' read -r python_version python python_base <<<"$answer"
                [ -n "$python_base" ] && return 0
                ;;
            3) [ -n "$without_venv" ] || without_venv=$candidate ;;
            4) [ -n "$old" ] || old=$candidate ;;
        esac
        [ "$candidate" != "${PLAYGROUND_PYTHON:-}" ] || fail "PLAYGROUND_PYTHON=$candidate is no Python 3.11 or later with venv." "Set it to another one, or unset it."
    done
    local packages='python3 python3-venv' newer
    if [ -n "$without_venv" ]; then
        answer=$("$without_venv" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        packages=$answer
    elif [ -n "$old" ] && type -P apt-cache >/dev/null; then
        packages=
        for newer in python3.13 python3.12 python3.11; do
            if apt-cache show "$newer-venv" >/dev/null 2>&1; then packages="$newer $newer-venv" && break; fi
        done
    fi
    if [ -z "$tried_python" ] && [ -n "$packages" ] && may_install; then
        tried_python=yes
        # shellcheck disable=SC2086
        apt_install $packages && find_python && return 0
    fi
    [ -z "$without_venv" ] || fail "Python's venv module is missing." "Install it with: $(install_command "$packages" 'python3 python3-pip' 'brew install python')"
    [ -n "$packages" ] || fail "Python 3.11 or later is needed, and this system has an older one only." "Install one from https://www.python.org/downloads/, then: PLAYGROUND_PYTHON=/path/to/python3 $0"
    fail "Python 3.11 or later is needed and was not found." "Install it with: $(install_command "$packages" python3 'brew install python')"
}
tried_python=

# -------------------------------------------------------------------------------------------------------- long commands

child=
stop_child() {
    set +u # there may be no $! yet
    [ "$child" != starting ] || child=$!
    [ -n "$child" ] && kill -TERM -- "-$child" 2>/dev/null
    quiet_line
    say "playground: Stopped. The next start takes it up again."
    exit 130
}

# attend TEXT COMMAND...: run it with its output in $log, show a calm line meanwhile; its exit code is ours.
attend() {
    local text=$1 start=$SECONDS told=0 passed counter status
    shift
    child=starting # the trap comes first: a Ctrl+C just then would leave it running alone
    trap stop_child INT TERM HUP
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    child=$!
    set +m
    while kill -0 "$child" 2>/dev/null; do
        passed=$((SECONDS - start))
        if [ -t 2 ]; then
            counter=$(tail -c 2000 "$log" 2>/dev/null | grep -oE '\[ *[0-9]+/[0-9]+\]|\[ *[0-9]+%\]' | tail -1)
            progress_line "$(printf '%s  %d:%02d  %s' "$text" $((passed / 60)) $((passed % 60)) "$counter")"
        elif [ $((passed / 60)) -gt "$told" ]; then
            told=$((passed / 60))
            say "$text  ${told} min"
        fi
        sleep 0.3
    done
    wait "$child"
    status=$?
    child=
    trap - INT TERM HUP
    quiet_line
    return $status
}

# explain WHAT: turns the log of a failed install into one sentence and a way out, and ends.
explain() {
    local kept=$venv/install.log
    cp "$log" "$kept" 2>/dev/null || kept=$log
    if grep -qiE 'No space left on device|Errno 28|Disk quota exceeded' "$log"; then
        fail "$1 failed: the disk is full." "Free some 2 GB in $root and ${TMPDIR:-/tmp}, then start again."
    elif no_network "$log"; then
        fail "$1 failed: the package registry could not be reached." \
            "Connect to the network and start again; it is needed for the first start only. (Log: $kept)"
    elif grep -qiE 'Permission denied|Read-only file system' "$log"; then
        fail "$1 failed: no permission to write." "Put the checkout where you may write, or mend the rights of $root. (Log: $kept)"
    fi
    quiet_line
    tail -n 15 "$log" | sed 's/^/    /' >&2
    fail "$1 failed; the last lines are above." "The whole log: $kept"
}

no_network() {
    grep -qiE 'name resolution|Name or service not known|nodename nor servname|Failed to establish a new connection|NewConnectionError|Network is unreachable|Connection (refused|reset|broken)|ProxyError|Max retries exceeded|Read timed out|ConnectTimeout|NameResolutionError' "$1"
}

# ------------------------------------------------------------------------------------------------------------- llama.cpp

# Sets `flags`, and `llama` to cpu or cuda.
choose_flags() {
    local feature name value architecture
    llama=cpu
    flags='-DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF'
    if [ "$HOSTTYPE" = x86_64 ] && [ -n "$cpu" ]; then
        flags="$flags -DGGML_NATIVE=OFF" # with its defaults: SSE 4.2, AVX, AVX2, FMA, F16C, BMI2
        for feature in sse4_2:SSE42 avx:AVX avx2:AVX2 fma:FMA f16c:F16C bmi2:BMI2; do
            case " $cpu " in *" ${feature%:*} "*) ;; *) flags="$flags -DGGML_${feature#*:}=OFF" ;; esac
        done
        case " $cpu " in *' avx_vnni '*) flags="$flags -DGGML_AVX_VNNI=ON" ;; esac
        value=yes
        for feature in avx512f avx512cd avx512bw avx512dq avx512vl; do
            case " $cpu " in *" $feature "*) ;; *) value= ;; esac
        done
        if [ -n "$value" ]; then
            flags="$flags -DGGML_AVX512=ON"
            for feature in avx512_vbmi:AVX512_VBMI avx512vbmi:AVX512_VBMI avx512_vnni:AVX512_VNNI avx512_bf16:AVX512_BF16; do
                case " $cpu " in *" ${feature%:*} "*) flags="$flags -DGGML_${feature#*:}=ON" ;; esac
            done
        fi
    fi # elsewhere (macOS with Metal, ARM) the compiler looks at the machine itself
    if gpu_works; then
        if find_nvcc; then
            llama=cuda
            name=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u | tr -d '. ' | tr '\n' ';')
            architecture=${name%;}
            flags="$flags -DGGML_CUDA=ON -DCMAKE_CUDA_COMPILER=$nvcc -DCMAKE_CUDA_ARCHITECTURES=${architecture:-native}"
        else
            say "This machine has an NVIDIA GPU but no CUDA toolkit (nvcc), so models will run on the CPU; install the toolkit and start again to use the GPU."
        fi
    fi
    [ -z "${CMAKE_ARGS:-}" ] || flags="$flags $CMAKE_ARGS"
}
gpu_works() { has_gpu || { type -P nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null </dev/null | grep -q '^GPU '; }; }

# Wheels built here, by their flags. Not pip's own cache: that one is keyed by the source alone, and hands a wheel
# built for one processor (or before there was a GPU) to another.
wheel_folder() {
    local base=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}} sum
    sum=$(printf '%s' "$(uname -sm) $(getconf GNU_LIBC_VERSION 2>/dev/null) $flags" | cksum)
    key=$llama_version-${sum%% *}
    folder=${base:-$venv/cache}/playground/wheels/$key
}

# Sets `wheel` to a file: the one named, one built before, or a new one.
get_llama_wheel() {
    if [ -n "${PLAYGROUND_LLAMA_WHEEL:-}" ]; then
        [ -r "$PLAYGROUND_LLAMA_WHEEL" ] || fail "PLAYGROUND_LLAMA_WHEEL=$PLAYGROUND_LLAMA_WHEEL cannot be read."
        case $PLAYGROUND_LLAMA_WHEEL in /*) wheel=$PLAYGROUND_LLAMA_WHEEL ;; *) wheel=$started_in/$PLAYGROUND_LLAMA_WHEEL ;; esac
        llama=given
        key="given $wheel"
        return 0
    fi
    wheel_folder
    for wheel in "$folder"/llama_cpp_python-*.whl; do
        [ -r "$wheel" ] && return 0
    done
    need_compiler
    local jobs memory building=$venv/wheel # beside the lock, so that what a killed build leaves is in nobody's way
    jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    memory=$(($(getconf _PHYS_PAGES 2>/dev/null || echo 4000000) * 4 / 1024 / 2048)) # 2 GB a job
    [ "$memory" -ge "$jobs" ] || jobs=$((memory > 0 ? memory : 1))
    rm -rf "$building"
    mkdir -p "$folder.$$" 2>/dev/null && rmdir "$folder.$$" || fail "The folder ${folder%/*} cannot be written." "Set XDG_CACHE_HOME to one that can."
    say "Building llama.cpp for this machine, once: about $((12 / (jobs > 12 ? 12 : jobs) + 1)) minutes${nvcc:+, with CUDA some more}."
    if ! CMAKE_ARGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$jobs} \
        attend "Building llama.cpp" "$venv/bin/python" -I -m pip wheel -v --no-deps --no-cache-dir --no-binary llama-cpp-python \
        -w "$building" "llama-cpp-python==$llama_version"; then
        rm -rf "$building"
        [ "$llama" = cuda ] || explain "Building llama.cpp"
        no_network "$log" && explain "Building llama.cpp"
        cp "$log" "$venv/cuda.log" 2>/dev/null
        say "The build with CUDA failed (log: $venv/cuda.log), so models will run on the CPU."
        flags=${flags%% -DGGML_CUDA=ON*}
        llama=cuda-failed
        nvcc=
        get_llama_wheel
        return
    fi
    mkdir "$folder.$$" && mv "$building"/*.whl "$folder.$$" && rm -rf "$folder" "$building" && mv "$folder.$$" "$folder"
    for wheel in "$folder"/llama_cpp_python-*.whl; do :; done
}

need_compiler() {
    if [ "$(uname -s)" = Darwin ]; then # c++ exists there in any case and asks for the tools
        xcode-select -p >/dev/null 2>&1 && return 0
    elif type -P c++ >/dev/null || type -P g++ >/dev/null || type -P clang++ >/dev/null || [ -n "${CXX:-}" ]; then
        type -P cc >/dev/null || type -P gcc >/dev/null || type -P clang >/dev/null || [ -n "${CC:-}" ] && return 0
    fi
    if may_install && apt_install build-essential python3-dev; then return 0; fi
    fail "A C++ compiler is needed once, to build llama.cpp for this machine." \
        "Install it with: $(install_command build-essential 'gcc gcc-c++ make' 'xcode-select --install')"
}

# -------------------------------------------------------------------------------------------------- libraries of the system

# Which package brings a library, at Debian's and at Fedora's.
package_of() {
    case $1 in
        libGL.so*) echo libgl1 libglvnd-glx ;;
        libEGL.so*) echo libegl1 libglvnd-egl ;;
        libOpenGL.so*) echo libopengl0 libglvnd-opengl ;;
        libglib-2* | libgthread-2*) echo libglib2.0-0 glib2 ;;
        libxkbcommon.so*) echo libxkbcommon0 libxkbcommon ;;
        libdbus-1*) echo libdbus-1-3 dbus-libs ;;
        libfontconfig*) echo libfontconfig1 fontconfig ;;
        libfreetype*) echo libfreetype6 freetype ;;
        libgomp*) echo libgomp1 libgomp ;;
        libstdc++*) echo libstdc++6 libstdc++ ;;
        libz.so*) echo zlib1g zlib ;;
        libX11.so*) echo libx11-6 libX11 ;;
        libX11-xcb*) echo libx11-xcb1 libX11-xcb ;;
        libxkbcommon-x11*) echo libxkbcommon-x11-0 libxkbcommon-x11 ;;
        libxcb-cursor*) echo libxcb-cursor0 xcb-util-cursor ;;
        libxcb-icccm*) echo libxcb-icccm4 xcb-util-wm ;;
        libxcb-image*) echo libxcb-image0 xcb-util-image ;;
        libxcb-keysyms*) echo libxcb-keysyms1 xcb-util-keysyms ;;
        libxcb-render-util*) echo libxcb-render-util0 xcb-util-renderutil ;;
        libxcb-util*) echo libxcb-util1 xcb-util ;;
        libxcb-shape*) echo libxcb-shape0 libxcb ;;
        libxcb-xkb*) echo libxcb-xkb1 libxcb ;;
        libxcb-randr*) echo libxcb-randr0 libxcb ;;
        libxcb-render*) echo libxcb-render0 libxcb ;;
        libxcb-shm*) echo libxcb-shm0 libxcb ;;
        libxcb-sync*) echo libxcb-sync1 libxcb ;;
        libxcb-xfixes*) echo libxcb-xfixes0 libxcb ;;
        libxcb-xinerama*) echo libxcb-xinerama0 libxcb ;;
        libxcb.so*) echo libxcb1 libxcb ;;
        libSM.so*) echo libsm6 libSM ;;
        libICE.so*) echo libice6 libICE ;;
        libwayland-*) echo libwayland-client0 libwayland-client ;;
    esac
}

# missing_libraries FILE...: the libraries that the loader would not find for these, a line each.
missing_libraries() {
    local file
    for file in "$@"; do
        if [ -e "$file" ]; then ldd "$file" 2>/dev/null; fi
    done | awk '/not found/ && $1 !~ /^libcuda|^libcublas|^libcudart|:$/ { print $1 }' | sort -u
}

# Sets `lacking` (Debian's packages), `lacking_fedora` and `lacking_files` for a window; with `screen`, for one on an X server.
look_for_libraries() {
    local qt files library names
    lacking=; lacking_fedora=; lacking_files=
    [ "$(uname -s)" = Linux ] && type -P ldd >/dev/null || return 0
    for qt in "$venv"/lib/python3*/site-packages; do :; done
    files=("$qt"/PySide6/QtWidgets.abi3.so "$qt"/PySide6/QtSvg.abi3.so "$qt"/PySide6/Qt/plugins/platforms/libqoffscreen.so "$qt"/llama_cpp/lib/*.so)
    [ "${1:-}" != screen ] || files+=("$qt"/PySide6/Qt/plugins/platforms/libqxcb.so)
    for library in $(missing_libraries "${files[@]}"); do
        names=$(package_of "$library")
        lacking_files="$lacking_files $library"
        case " $lacking " in *" ${names% *} "*) ;; *) lacking="$lacking ${names% *}" ;; esac
        case " $lacking_fedora " in *" ${names#* } "*) ;; *) lacking_fedora="$lacking_fedora ${names#* }" ;; esac
    done
    lacking=${lacking# }; lacking_fedora=${lacking_fedora# }; lacking_files=${lacking_files# }
}

# True when the window has all it needs. As root without a terminal it gets what is missing, else it is told.
check_libraries() {
    look_for_libraries "$@"
    [ -n "$lacking_files" ] || return 0
    if [ -n "$lacking" ] && may_install; then
        # shellcheck disable=SC2086
        apt_install $lacking || :
        look_for_libraries "$@"
        [ -n "$lacking_files" ] || return 0
    fi
    say "playground: The window needs libraries that this system lacks: $lacking_files."
    say "  Install them with: $(install_command "$lacking" "$lacking_fedora" '')"
    return 1
}

# --------------------------------------------------------------------------------------------------------------- install

take_lock() {
    mkdir -p "$venv" 2>/dev/null && : 2>/dev/null >>"$lock" ||
        fail "The folder $root cannot be written." "Put the checkout where you may write, or free some space."
    if type -P flock >/dev/null; then # the kernel lets go of it, however we end
        exec 9>>"$lock"
        flock -n 9 || { say "Another start is installing; waiting for it." && flock 9; }
    else # macOS
        until mkdir "$lock.d" 2>/dev/null; do
            if ! kill -0 "$(cat "$lock.d/pid" 2>/dev/null || echo $$)" 2>/dev/null; then rm -rf "$lock.d"; else sleep 1; fi
        done
        echo $$ >"$lock.d/pid"
    fi
}
drop_lock() {
    if type -P flock >/dev/null; then exec 9>&-; else rm -rf "$lock.d"; fi
}

# install EXTRA...: one start at a time, saying what it does on stderr. Ends the script with a sentence if it cannot.
install() {
    local extras="$*${PLAYGROUND_EXTRAS:+ $PLAYGROUND_EXTRAS}" before='' screen='' extra
    log=$(mktemp "${TMPDIR:-/tmp}/playground-install.XXXXXX" 2>/dev/null) ||
        fail "No file can be made in ${TMPDIR:-/tmp}: it is full or read-only." "Free some space, or set TMPDIR to another folder."
    take_lock
    if up_to_date "$@"; then # made by the one we waited for
        drop_lock
        rm -f "$log"
        return 0
    fi
    [ -z "${DISPLAY:-}${want_screen:-}" ] || screen=screen
    unset PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PYTHONHOME
    export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

    read_cpu
    read_wanted
    llama_version=$(sed -n 's/^llama-cpp-python==//p' "$constraints")
    if read_stamp && [ "$made_root" = "$root" ] && [ -x "$made_base" ] && [ -x "$venv/bin/python" ] && [ ! -e "$unfinished" ]; then
        before=yes
        python_base=$made_base
        for extra in $made_extras; do # what was asked for once stays
            case " $extras " in *" $extra "*) ;; *) extras="$extras $extra" ;; esac
        done
    fi
    extras=${extras# }

    if [ -n "$before" ] && [ "$made_of" = "$wanted" ] && [ "$made_cpu" = "$cpu" ] && [ "$made_extras" = "$extras" ] && [ "$made_qt" = no ]; then
        llama=$made_llama # all is there but libraries of the system
        key=$made_key
    elif ! install_packages; then # out of date and offline: as before, then
        drop_lock
        rm -f "$log"
        return 0
    fi

    made_qt=yes
    check_libraries $screen || made_qt=no
    if ! { printf '%s\n' "$root" "$python_base" "$cpu" "$llama" "$key" "$made_qt" "$extras" && printf '%s' "$wanted"; } >"$stamp.new" ||
        ! mv "$stamp.new" "$stamp"; then
        fail "$stamp cannot be written: the disk is full or read-only." "Free some space and start again."
    fi
    rm -f "$unfinished" "$log"
    drop_lock
}

install_packages() {
    local built joined=${extras// /,} packages
    if [ -z "$before" ]; then
        find_python
        if [ -e "$unfinished" ] || ! "$venv/bin/python" -I -c "$same_python" "$venv" "$python_version" 2>/dev/null; then make_venv; fi
    else
        say "Bringing the installation up to date."
    fi
    choose_flags
    get_llama_wheel
    : >"$unfinished"
    for packages in "$venv"/lib/python3*/site-packages; do :; done
    built=
    [ ! -d "$packages/llama_cpp" ] || { built=unknown && [ -r "$venv/llama.key" ] && IFS= read -r built <"$venv/llama.key"; }
    if ! attend "Installing Qt, NumPy and the rest" "$venv/bin/python" -I -m pip install -c "$constraints" "$wheel" -e "$root${joined:+[$joined]}"; then
        if [ -n "$before" ] && no_network "$log"; then # nothing was changed yet
            rm -f "$unfinished"
            say "playground: The installation is not up to date, and the package registry could not be reached; starting with what is there."
            return 1
        fi
        explain "The installation"
    fi
    if [ -n "$built" ] && [ "$built" != "$key" ]; then # the same version, built otherwise: pip saw no reason to change it
        attend "Installing llama.cpp" "$venv/bin/python" -I -m pip install --force-reinstall --no-deps "$wheel" || explain "The installation"
    fi
    printf '%s\n' "$key" >"$venv/llama.key"
    "$venv/bin/python" -I -m playground --version >"$log" 2>&1 || explain "The first start"
}

same_python='
import pip, sys
sys.exit(sys.prefix != sys.argv[1] or sys.argv[2] != "%d.%d" % sys.version_info[:2])'

make_venv() {
    local free needed=900
    case " $extras " in *" train "*) needed=3000 ;; esac
    free=$(df -Pk "$root" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
    [ "${free:-9999}" -ge "$needed" ] || fail "The disk has ${free} MB free, and the installation needs some $needed." "Free some space in $root, then start again."
    say "Setting up in $venv with Python $python_version; later starts skip this."
    find "$venv" -mindepth 1 -maxdepth 1 ! -name '.lock*' -exec rm -rf {} + || fail "$venv cannot be emptied." "Remove it and start again."
    attend "Making the environment" "$python" -I -m venv "$venv" || explain "Making the environment"
}
