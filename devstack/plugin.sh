# shellcheck shell=bash
# Tachi in DevStack: `enable_plugin tachi <repository> [branch]` in local.conf. It provides the services of Masakari's plug-in
# under the same names. DevStack sources this file once a phase: stack pre-install, install, post-config, extra, test-config;
# unstack; clean. It may not be run by itself.

_XTRACE_TACHI=$(set +o | grep xtrace)
set +o xtrace

_tachi_lib=$(dirname "${BASH_SOURCE[0]}")/lib
# shellcheck source=devstack/lib/binaries.sh
source "$_tachi_lib/binaries.sh"
# shellcheck source=devstack/lib/accounts.sh
source "$_tachi_lib/accounts.sh"
# shellcheck source=devstack/lib/service.sh
source "$_tachi_lib/service.sh"
# shellcheck source=devstack/lib/monitors.sh
source "$_tachi_lib/monitors.sh"
# shellcheck source=devstack/lib/clients.sh
source "$_tachi_lib/clients.sh"

if is_tachi_control_enabled || is_tachi_monitor_enabled; then
    case "${1:-} ${2:-}" in
        "stack pre-install")
            check_tachi_settings
            ;;
        "stack install")
            echo_summary "Installing Tachi"
            install_tachi
            install_masakariclient
            if is_tachi_control_enabled && is_service_enabled horizon; then
                install_masakaridashboard
            fi
            ;;
        "stack post-config")
            echo_summary "Configuring Tachi"
            if is_service_enabled key; then
                create_tachi_accounts
            fi
            if is_tachi_control_enabled; then
                configure_tachi
            fi
            if is_tachi_monitor_enabled; then
                configure_tachi_monitors
            fi
            ;;
        "stack extra")
            echo_summary "Starting Tachi"
            if is_tachi_control_enabled; then
                init_tachi
                start_tachi
            fi
            if is_tachi_monitor_enabled; then
                start_tachi_monitors
            fi
            if is_service_enabled masakari-api && [[ -n "$TACHI_SAMPLE_SEGMENT" ]]; then
                create_tachi_sample_segment
            fi
            ;;
        "stack test-config")
            if is_service_enabled masakari-api && is_service_enabled tempest; then
                configure_tachi_tempest
            fi
            ;;
        "unstack "*)
            # Monitors first: what they see of a cloud that goes down is no failure.
            stop_tachi_monitors
            stop_tachi
            cleanup_tachi_monitors
            cleanup_tachi
            if is_service_enabled horizon; then
                uninstall_masakaridashboard
            fi
            ;;
        "clean "*)
            cleanup_tachi_monitors
            cleanup_tachi
            uninstall_tachi
            ;;
    esac
fi

unset _tachi_lib
$_XTRACE_TACHI
