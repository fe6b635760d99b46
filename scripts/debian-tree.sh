# Sourced by scripts that need a clean Debian.

# debian_tree TREE LOG PACKAGES: makes one in the directory TREE, with PACKAGES (a,b,c), of the release that RELEASE names or else of this
# machine's, from the mirror that this machine's apt uses. Where that can't be, it says why in `mirror_said`, and fails. Needs root.
debian_tree() {
    local tree=$1 log=$2 packages=$3 here release mirror key options=
    need mmdebstrap=mmdebstrap
    here=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    release=${RELEASE:-$here}
    mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v release="$here" '$1 == release && $2 == "main" && !mirror { mirror = $3 } END { print mirror }')
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    [ ! -e "$key" ] || options="[signed-by=$key] "
    mirror_said=
    if ! mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
        --aptopt='Acquire::Languages "none"' "$release" "$tree" "deb $options$mirror $release main" >"$log" 2>&1; then
        mirror_said="a clean Debian $release can't be had from $mirror: $(tail -n 5 "$log")"
        return 1
    fi
}
