# shellcheck shell=bash
# How `tachi` and `tachi-monitor` come onto the machine, and leave it.

# What the binaries are also called: as Masakari's commands, for scripts that call those.
TACHI_LINKS="masakari-api masakari-engine masakari-manage masakari-status"
TACHI_MONITOR_LINKS="masakari-hostmonitor masakari-processmonitor masakari-instancemonitor masakari-introspectiveinstancemonitor"

# check_tachi_settings() - Wrong settings end stack.sh in its first minute and not in its thirtieth.
function check_tachi_settings {
    case "$TACHI_INSTALL" in
        source) ;;
        binary)
            [[ -n "$TACHI_BINARIES" ]] || die $LINENO "TACHI_INSTALL=binary needs TACHI_BINARIES: a folder, a .tar.gz or its address"
            if [[ "$TACHI_BINARIES" == http*://* && -z "$TACHI_BINARIES_SHA256" ]]; then
                die $LINENO "what TACHI_BINARIES ($TACHI_BINARIES) brings is run as a service: set TACHI_BINARIES_SHA256"
            fi
            ;;
        deb) [[ -n "$TACHI_DEBS" ]] || die $LINENO "TACHI_INSTALL=deb needs TACHI_DEBS: the packages, with their paths" ;;
        *) die $LINENO "TACHI_INSTALL=$TACHI_INSTALL: must be source, binary or deb" ;;
    esac
    case "$TACHI_FENCING_MODE" in
        external | engine | dry-run) ;;
        *) die $LINENO "TACHI_FENCING_MODE=$TACHI_FENCING_MODE: must be external, engine or dry-run" ;;
    esac
    local file
    for file in "$TACHI_FENCING_FILE" "$TACHI_PROCESS_LIST"; do
        [[ -z "$file" || -r "$file" ]] || die $LINENO "$file (TACHI_FENCING_FILE, TACHI_PROCESS_LIST) cannot be read"
    done
}

# install_tachi() - Brings both binaries to TACHI_BIN_DIR
function install_tachi {
    local from unpacked=""
    case "$TACHI_INSTALL" in
        source)
            build_tachi
            from=$TACHI_TARGET_DIR/$(tachi_profile_folder)
            ;;
        binary)
            from=$TACHI_BINARIES
            if [[ ! -d "$from" ]]; then
                unpacked=$(mktemp -d)
                unpack_tachi_archive "$TACHI_BINARIES" "$unpacked"
                from=$unpacked
            fi
            ;;
        deb)
            unpacked=$(mktemp -d)
            local deb
            # Taken apart and not installed: the units of the packages would start a second API beside DevStack's.
            for deb in $TACHI_DEBS; do
                dpkg-deb -x "$deb" "$unpacked" || die $LINENO "$deb could not be unpacked"
            done
            from=$unpacked/usr/bin
            ;;
    esac
    local binary
    for binary in tachi tachi-monitor; do
        [[ -x "$from/$binary" ]] || die $LINENO "no $binary in $from (TACHI_INSTALL=$TACHI_INSTALL)"
        # Renamed into place, so that a running process keeps the file that it has.
        sudo install -D -m 0755 "$from/$binary" "$TACHI_BIN_DIR/.$binary.new"
        sudo mv -f "$TACHI_BIN_DIR/.$binary.new" "$TACHI_BIN_DIR/$binary"
    done
    local name
    for name in $TACHI_LINKS; do sudo ln -sfn tachi "$TACHI_BIN_DIR/$name"; done
    for name in $TACHI_MONITOR_LINKS; do sudo ln -sfn tachi-monitor "$TACHI_BIN_DIR/$name"; done
    [[ -z "$unpacked" ]] || rm -rf "$unpacked"
}

# uninstall_tachi() - Takes away what install_tachi brought, and what the services stored
function uninstall_tachi {
    local name
    for name in $TACHI_LINKS $TACHI_MONITOR_LINKS; do
        # Masakari's own command may have come there since.
        if [[ "$(readlink "$TACHI_BIN_DIR/$name")" == tachi* ]]; then sudo rm -f "$TACHI_BIN_DIR/$name"; fi
    done
    sudo rm -f "$TACHI_BIN_DIR/tachi" "$TACHI_BIN_DIR/tachi-monitor"
    sudo rm -rf "${TACHI_STATE_DIR:?}"
    # Only what this plug-in has built itself.
    if [[ "$TACHI_INSTALL" == source && "$TACHI_TARGET_DIR" == "$TACHI_DIR/target" ]]; then rm -rf "${TACHI_TARGET_DIR:?}"; fi
}

# cargo's folder for a profile: the profile `dev` builds into `debug`.
function tachi_profile_folder {
    if [[ "$TACHI_CARGO_PROFILE" == dev ]]; then echo debug; else echo "$TACHI_CARGO_PROFILE"; fi
}

function build_tachi {
    install_tachi_toolchain
    local options=(--locked)
    if [[ "$OFFLINE" == "True" ]]; then options+=(--offline); fi
    (cd "$TACHI_DIR" && TACHI_VERSION="$(packaging/version)" cargo build "${options[@]}" --profile "$TACHI_CARGO_PROFILE" --target-dir "$TACHI_TARGET_DIR" \
        -p tachi -p tachi-monitor) || die $LINENO "cargo could not build $TACHI_DIR"
}

# install_tachi_toolchain() - A cargo that is new enough; the distribution's rustup brings one where its own is too old.
function install_tachi_toolchain {
    local wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$TACHI_DIR/Cargo.toml" | head -n 1)
    is_package_installed gcc || install_package gcc
    if tachi_cargo_is "$wanted"; then return; fi
    if [[ "$OFFLINE" == "True" ]]; then
        die $LINENO "cargo $wanted or newer is needed, and OFFLINE=True: install it first, or set TACHI_INSTALL=binary"
    fi
    if ! type -p rustup >/dev/null; then
        install_package rustup || die $LINENO "no rustup among the packages: install cargo $wanted or newer, or set TACHI_INSTALL=binary"
        # Fedora's package brings only what installs it.
        if ! type -p rustup >/dev/null && type -p rustup-init >/dev/null; then
            rustup-init -y --profile minimal --default-toolchain none
            export PATH=$HOME/.cargo/bin:$PATH
        fi
    fi
    rustup toolchain install --profile minimal stable
    rustup default stable
    tachi_cargo_is "$wanted" || die $LINENO "cargo $wanted or newer is needed; $(cargo --version 2>&1) is here"
}

# tachi_cargo_is(wanted) - Whether cargo is there and not older
function tachi_cargo_is {
    local have
    have=$(cargo --version 2>/dev/null | awk '{ print $2 }')
    [[ -n "$have" && "$(printf '%s\n%s\n' "$1" "$have" | sort -V | head -n 1)" == "$1" ]]
}

# unpack_tachi_archive(archive, folder) - A .tar.gz with both binaries, wherever in it they are
function unpack_tachi_archive {
    local archive=$1 folder=$2
    if [[ "$archive" == *://* ]]; then archive=$(get_extra_file "$archive"); fi
    [[ -r "$archive" ]] || die $LINENO "TACHI_BINARIES=$TACHI_BINARIES cannot be read"
    if [[ -n "$TACHI_BINARIES_SHA256" ]]; then
        echo "$TACHI_BINARIES_SHA256  $archive" | sha256sum --check --status ||
            die $LINENO "$archive does not match TACHI_BINARIES_SHA256; remove it if it is from an earlier run"
    fi
    tar -xzf "$archive" -C "$folder" || die $LINENO "$archive could not be unpacked"
    local found
    for found in tachi tachi-monitor; do
        find "$folder" -mindepth 2 -type f -name "$found" -perm -u+x -exec mv -f {} "$folder/$found" \;
    done
}
