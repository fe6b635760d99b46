# Sourced by the other scripts: what has to be on the machine, and how it gets there.

# say TEXT: a line for the person in front of the terminal.
say() { printf '%s\n' "$*" >&2; }

# fail TEXT: the last line of a script that can't go on.
fail() {
    say "error: $*"
    exit 1
}

# need COMMAND=PACKAGE ...: installs the Debian packages of the commands that are missing.
need() {
    local missing=() pair
    # Servers live in sbin, which is not on everybody's path.
    PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
    export PATH
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
    done
    # The etcd client's build reads protoc's own include files, which are a package of their own.
    case " $* " in
        *" protoc="*) [ -e /usr/include/google/protobuf/descriptor.proto ] || missing+=(libprotobuf-dev) ;;
    esac
    [ ${#missing[@]} -eq 0 ] && return
    say "installing what is missing: ${missing[*]}"
    command -v apt-get >/dev/null 2>&1 ||
        fail "this is no Debian: install what these Debian packages have, then start again: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            fail "installing needs root: run 'apt-get install ${missing[*]}' as root, then start again"
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    ' sh "${missing[@]}" || fail "installing failed: run 'apt-get install ${missing[*]}' by hand to see why"
}

# need_cargo: there is a cargo, and it is new enough for this workspace.
need_cargo() {
    local wanted have how
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    how="get the current one with rustup (https://rustup.rs), or with 'rustup update' if you have that"
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    command -v cargo >/dev/null 2>&1 || fail "there is no cargo: Rust $wanted or newer is needed; $how"
    have=$(rustc --version | awk '{print $2}')
    [ "$(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
        fail "Rust $have is too old: $wanted or newer is needed; $how"
}
