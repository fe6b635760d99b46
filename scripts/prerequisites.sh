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
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# install_packages PACKAGE...: installs Debian packages.
install_packages() {
    say "installing what is missing: $*"
    command -v apt-get >/dev/null 2>&1 ||
        fail "this is no Debian: install what these Debian packages have, then start again: $*"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            fail "installing needs root: run 'apt-get install $*' as root, then start again"
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    ' sh "$@" || fail "installing failed: run 'apt-get install $*' by hand to see why"
}

# need_zookeeper: there are ZooKeeper's classes, and a Java that runs them. No service comes with either package.
need_zookeeper() {
    need java=default-jre-headless
    [ -n "${E2E_ZOOKEEPER:-}" ] || [ -e /usr/share/java/zookeeper.jar ] || install_packages libzookeeper-java
}

# need_moto: there is a moto_server, which plays EC2 for the tests, in a Python environment of this checkout's own.
need_moto() {
    local moto='moto[server,ec2]==5.2.5'
    if [ -n "${E2E_MOTO_SERVER:-}" ] || [ -x .venv/bin/moto_server ]; then
        return
    fi
    need python3=python3
    # Debian has these two in a package of their own.
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || install_packages python3-venv
    say "making a Python environment with $moto in .venv"
    # What an interrupted run has left there goes.
    python3 -m venv --clear .venv ||
        fail "making the Python environment .venv failed: run 'python3 -m venv --clear .venv' by hand to see why"
    .venv/bin/pip install -q --disable-pip-version-check "$moto" ||
        fail "installing moto failed: run '.venv/bin/pip install \"$moto\"' by hand to see why," \
            "or set E2E_MOTO_SERVER to a moto_server that you have"
}

# need_newer_haproxy: prints the path of an HAProxy 3.x: that of E2E_HAPROXY_NEWER, or of Debian's trixie, unpacked below target.
need_newer_haproxy() {
    if [ -n "${E2E_HAPROXY_NEWER:-}" ]; then
        "$E2E_HAPROXY_NEWER" -v >/dev/null || fail "E2E_HAPROXY_NEWER names no HAProxy: $E2E_HAPROXY_NEWER"
        printf '%s\n' "$E2E_HAPROXY_NEWER"
        return
    fi
    scripts/haproxy trixie "${CARGO_TARGET_DIR:-target}/haproxy/trixie" ||
        fail "there is no newer HAProxy to test with: set E2E_HAPROXY_NEWER to one that you have (3.0 or newer)"
}

# need_cargo: there is a cargo, and it is new enough for this workspace.
need_cargo() {
    local wanted have how bin
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    how="get the current one with rustup (https://rustup.rs), or with 'rustup update' if you have that"
    # Where rustup puts it, which is not on the path of a shell that was open at the time. HOME may be unset.
    bin="${CARGO_HOME:-${HOME:-}/.cargo}/bin"
    [ -x "$bin/cargo" ] && PATH="$bin:$PATH"
    command -v cargo >/dev/null 2>&1 || fail "there is no cargo: Rust $wanted or newer is needed; $how"
    # A cargo may be alone, and one of rustup's may have no toolchain.
    have=$(rustc --version 2>/dev/null | awk '{print $2}') || true
    [ -n "$have" ] || fail "there is a cargo, but no rustc that works: Rust $wanted or newer is needed; $how"
    [ "$(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
        fail "Rust $have is too old: $wanted or newer is needed; $how"
}
