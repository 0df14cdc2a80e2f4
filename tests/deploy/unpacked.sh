#!/usr/bin/env bash
# unpacked.sh DEB... : what can be seen of packages without a boot: the manual reads without a warning, the shells complete, and what is for
# another processor runs in its emulation (qemu-user, and the libraries of that processor as Debian's cross compilers have them).
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
# that NAME COMMAND... : its output is shown when it fails
that() {
  local name="$1" out
  shift
  if out="$("$@" 2>&1)"; then
    echo "ok      $name"
    passed=$((passed + 1))
  else
    printf 'FAILED  %s\n%s\n' "$name" "$out"
    failed=$((failed + 1))
  fi
}
for deb in "$@"; do
  dpkg-deb -x "$deb" "$work/root"
  arch="$(dpkg-deb -f "$deb" Architecture)"
  version="$(dpkg-deb -f "$deb" Version)"
done
bin="$work/root/usr/bin" share="$work/root/usr/share"

# read_page FILE : as lintian reads it
read_page() {
  local said
  said="$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>&1 >/dev/null)" || return 1
  [ -z "$said" ] || { printf '%s\n' "$said" && return 1; }
}
all_read() {
  local page pages=0
  for page in "$share"/man/man*/*.gz; do
    read_page "$page" || { printf 'in %s\n' "$page" && return 1; }
    pages=$((pages + 1))
  done
  [ "$pages" -gt 40 ] || { echo "only $pages pages" && return 1; }
}
that "each page of the manual reads without a warning" all_read
found() { MANPATH="$share/man" man -w "$1"; }
that "and is found by its name" found tachi-recovery-show

if [ "$arch" = "$(dpkg --print-architecture)" ]; then
  as() { local name="$1" && shift && (exec -a "$name" "$@"); }
else
  case "$arch" in arm64) cpu=aarch64 ;; *) echo "no emulation for $arch is known here" >&2 && exit 1 ;; esac
  # as NAME PROGRAM ARGUMENT... : started by that name
  as() { local name="$1" && shift && "qemu-$cpu" -L "/usr/$cpu-linux-gnu" -0 "$name" "$@"; }
  emulated="$(mktemp -d "$work/emulated.XXXXXX")"
  for name in tachi tachi-monitor; do
    printf '#!/bin/sh\nexec qemu-%s -L /usr/%s-linux-gnu %s "$@"\n' "$cpu" "$cpu" "$bin/$name" >"$emulated/$name"
    chmod 755 "$emulated/$name"
  done
fi
path="${emulated:-$bin}:/usr/bin:/bin"

# completed SHELL TEXT WORD : WORD is among what the shell offers for TEXT
completed() {
  local offered
  case "$1" in
    bash)
      # shellcheck disable=SC2016 # the other shell's variables
      offered="$(PATH="$path" bash --norc -c 'source "$1/bash-completion/completions/${2%% *}"; read -ra COMP_WORDS <<<"$2"
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE="$2" COMP_POINT=${#2}
        "$(complete -p "${COMP_WORDS[0]}" | sed "s/.* -F \([^ ]*\) .*/\1/")" "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$share" "$2")"
      ;;
    fish)
      # shellcheck disable=SC2016
      offered="$(HOME="$work" PATH="$path" fish --no-config -c 'source $argv[1]/fish/vendor_completions.d/(string split " " $argv[2])[1].fish
        complete --do-complete $argv[2]' "$share" "$2" | cut -f1)"
      ;;
    zsh)
      # shellcheck disable=SC2016
      offered="$(HOME="$work" PATH="$path" TERM=dumb zsh -f -c 'zmodload zsh/zpty; zpty shell zsh -f -i
        zpty -w shell "PS1=; fpath=($1/zsh/vendor-completions \$fpath); autoload -Uz compinit; compinit -u -D; stty -echo; echo ready-to-go"
        zpty -r shell out "*ready-to-go*ready-to-go*"
        zpty -w -n shell "$2"$'"'\t'"'; zpty -r -m shell out "*$3*" && print -r -- "$3"' zsh "$share" "$2" "$3")"
      ;;
  esac
  printf '%s\n' "$offered" | grep -qx -- "$3" || { printf 'offered: %s\n' "$offered" && return 1; }
}
for shell in bash fish zsh; do
  that "$shell completes a command" timeout 60 bash -c "$(declare -f completed); $(declare -p work share path); completed $shell 'tachi recov' recovery"
  that "$shell completes one of the monitors' commands" timeout 60 bash -c \
    "$(declare -f completed); $(declare -p work share path); completed $shell 'tachi-monitor boot' boot-guard"
done

# told WANTED COMMAND... : checks the output
told() {
  local wanted="$1" got
  shift
  got="$("$@")" || return 1
  [ "$got" = "$wanted" ] || { printf "wanted '%s', got '%s'\n" "$wanted" "$got" && return 1; }
}
version="${version%-*}"
for name in masakari-api masakari-engine masakari-manage masakari-status; do
  that "$arch: $name prints its version" told "$version" as "$name" "$bin/tachi" --version
done
for name in masakari-hostmonitor masakari-instancemonitor masakari-processmonitor masakari-introspectiveinstancemonitor; do
  that "$arch: $name prints its version" told "$version" as "$name" "$bin/tachi-monitor" --version
done
that "$arch: tachi prints its help" as tachi "$bin/tachi" --help
that "$arch: tachi-monitor prints its help" as tachi-monitor "$bin/tachi-monitor" --help
cat >"$work/masakari.conf" <<C
[DEFAULT]
auth_strategy = noauth2
os_privileged_user_auth_url = http://127.0.0.1:9/v3
os_privileged_user_name = nova
os_privileged_user_password = nothing
os_privileged_user_tenant = service
[database]
connection = sqlite:///$work/tachi.sqlite
C
chmod 600 "$work/masakari.conf"
that "$arch: a database is made" as masakari-manage "$bin/tachi" --config-file "$work/masakari.conf" db sync
looked() {
  local out rc=0
  out="$(as masakari-status "$bin/tachi" --config-file "$work/masakari.conf" upgrade check --json)" || rc=$?
  # No Keystone listens there: reported as a failure, exit code 2 by oslo.upgradecheck.
  [ "$rc" = 2 ] || { printf 'ended with %s\n%s\n' "$rc" "$out" && return 1; }
  printf '%s\n' "$out" | python3 -c 'import json, sys; assert json.load(sys.stdin)'
}
that "$arch: masakari-status upgrade check looks, and says that Keystone does not answer" looked
demo() {
  as tachi "$bin/tachi" demo --hosts 3 --instances 6 --json | python3 -c 'import json, sys; told = json.load(sys.stdin); print(told)
assert told["recovered"] > 0 and told["lost"] == 0 and told["double_runs"] == 0'
}
that "$arch: a hypervisor dies, and its instances come back: tachi demo" timeout 300 bash -c "$(declare -f demo as); $(declare -p bin); ${cpu:+cpu=$cpu;} demo"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
