# shellcheck shell=bash
# Sourced: Debian systems in folders, made once and copied for each test, and how a script runs in one that has booted.

DEPLOY_CACHE="${TACHI_DEPLOY_CACHE:-$TARGET/deploy}"
DEPLOY_SUITE="${TACHI_DEPLOY_SUITE:-bookworm}"

deploy_tools() {
  apt_need debootstrap debootstrap
  apt_need systemd-nspawn systemd-container
}

# bare_debian : the folder of a Debian or Ubuntu with systemd and nothing of ours, made once
bare_debian() {
  local root="$DEPLOY_CACHE/$DEPLOY_SUITE"
  if [ ! -e "$root.done" ]; then
    mkdir -p "$DEPLOY_CACHE"
    rm -rf "$root"
    say "making a $DEPLOY_SUITE in $root" >&2
    local polkit=polkitd mirror=(http://deb.debian.org/debian) options=()
    case "$DEPLOY_SUITE" in
      jammy | noble)
        # Debian's debootstrap does not know each of Ubuntu's by name.
        mirror=(http://archive.ubuntu.com/ubuntu gutsy)
        options=("--components=main,universe")
        if [ -e /usr/share/keyrings/ubuntu-archive-keyring.gpg ]; then
          options+=(--keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg)
        else
          say "no key of Ubuntu's archive here: what comes from there is not verified" >&2
          options+=(--no-check-gpg)
        fi
        ;;
    esac
    case "$DEPLOY_SUITE" in bullseye | jammy) polkit=policykit-1 ;; esac
    debootstrap --variant=minbase "${options[@]}" \
      --include="systemd,systemd-sysv,libpam-systemd,procps,dbus,$polkit,ca-certificates,curl,iproute2,python3,logrotate" \
      "$DEPLOY_SUITE" "$root" "${mirror[@]}" >"$root.log" 2>&1 || die "debootstrap failed: $root.log"
    cp -p /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    touch "$root.done"
  fi
  printf '%s\n' "$root"
}

# debian_with_masakari : the same with Debian's Masakari, its database made and a few rows in it
debian_with_masakari() {
  local bare root="$DEPLOY_CACHE/$DEPLOY_SUITE-masakari"
  bare="$(bare_debian)"
  if [ ! -e "$root.done" ]; then
    rm -rf "$root"
    cp -a --reflink=auto "$bare" "$root"
    say "installing Debian's Masakari in $root" >&2
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    TMPDIR=/tmp chroot "$root" sh -ec '
      echo "masakari-common masakari/configure_db boolean false" | debconf-set-selections
      export DEBIAN_FRONTEND=noninteractive
      apt-get update -qq
      apt-get install -y --no-install-recommends masakari-api masakari-engine masakari-host-monitor masakari-process-monitor

    ' >"$root.log" 2>&1 || die "installing Debian's Masakari failed: $root.log"
    rm "$root/usr/sbin/policy-rc.d"
    touch "$root.done"
  fi
  printf '%s\n' "$root"
}

# debian_with_rpm : the bare one with rpm and what builds a package
debian_with_rpm() {
  local bare root="$DEPLOY_CACHE/$DEPLOY_SUITE-rpm"
  bare="$(bare_debian)"
  if [ ! -e "$root.done" ]; then
    rm -rf "$root"
    cp -a --reflink=auto "$bare" "$root"
    say "installing rpm in $root" >&2
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    TMPDIR=/tmp chroot "$root" sh -ec 'export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y --no-install-recommends rpm' \
      >"$root.log" 2>&1 || die "installing rpm failed: $root.log"
    touch "$root.done"
  fi
  printf '%s\n' "$root"
}

# own_libraries FOLDER : this machine's loader and C library, for programs that were built against it and run in an older system
own_libraries() {
  mkdir -p "$1"
  ldd "$MONITOR" | grep -oE '/[^ ]+' | while IFS= read -r file; do cp -L "$file" "$1/"; done
}

# in_booted ROOT SCRIPT SECONDS : boots a copy of ROOT that has /deploy (packages and SCRIPT); what SCRIPT prints; 0 if it ended with 0.
in_booted() {
  local from="${1:?no root}" script="$2" limit="$3" root rc=0
  root="$(mktemp -d "$DEPLOY_CACHE/run.XXXXXX")"
  cp -a --reflink=auto "$from/." "$root/"
  mkdir -p "$root/deploy"
  cp "$DEPLOY_PACKAGES"/*.deb "$DEPLOY_PACKAGES"/*.rpm "$root/deploy/"
  if [ -d "$DEPLOY_PACKAGES/next" ]; then cp -r "$DEPLOY_PACKAGES/next" "$root/deploy/next"; fi
  install -m 755 "$script" "$root/deploy/script"
  cp "$REPO/tests/deploy/inside.sh" "$root/deploy/inside.sh"
  if [ "$DEPLOY_SUITE" = bullseye ]; then own_libraries "$root/deploy/libraries"; fi
  cat >"$root/etc/systemd/system/deploy-test.service" <<'X'
[Unit]
After=multi-user.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/deploy/script >/deploy/out 2>&1; echo $? >/deploy/rc'
# At once: what is left running is asked for nothing more, and Ubuntu 22.04 took minutes to end it.
ExecStopPost=/bin/systemctl --force --force poweroff
StandardOutput=null
X
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  # The rest of the boot does not wait for it, and what it starts does not wait for the boot.
  ln -s ../deploy-test.timer "$root/etc/systemd/system/multi-user.target.wants/deploy-test.timer"
  printf '[Timer]\nOnActiveSec=1\nAccuracySec=100ms\n' >"$root/etc/systemd/system/deploy-test.timer"
  timeout --signal=KILL "$limit" systemd-nspawn --quiet -D "$root" --register=no --keep-unit --private-network --console=pipe -b \
    </dev/null >"$root.boot" 2>&1 || true
  cat "$root/deploy/out" 2>/dev/null || { say "it did not boot:"; tail -n 20 "$root.boot"; }
  rc="$(cat "$root/deploy/rc" 2>/dev/null || echo 1)"
  if [ -n "${TACHI_DEPLOY_KEEP:-}" ]; then say "kept: $root"; else rm -rf "$root" "$root.boot"; fi
  [ "$rc" = 0 ]
}
