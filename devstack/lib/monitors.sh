# shellcheck shell=bash
# The monitors of a compute node.

function is_tachi_monitor_enabled {
    is_service_enabled masakari-hostmonitor masakari-processmonitor masakari-instancemonitor \
        masakari-introspectiveinstancemonitor
}

# configure_tachi_monitors() - Writes masakarimonitors.conf and the list of processes, anew
function configure_tachi_monitors {
    sudo install -d -o "$STACK_USER" -m 0750 "$MASAKARI_MONITORS_CONF_DIR" "$TACHI_STATE_DIR"
    rm -f "$MASAKARI_MONITORS_CONF"
    install -m 0640 /dev/null "$MASAKARI_MONITORS_CONF"

    # The name under which Nova knows this host.
    iniset "$MASAKARI_MONITORS_CONF" DEFAULT hostname "${TACHI_HOSTNAME:-$(hostname)}"
    iniset "$MASAKARI_MONITORS_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$MASAKARI_MONITORS_CONF" monitor state_path "$TACHI_STATE_DIR/monitors"
    iniset "$MASAKARI_MONITORS_CONF" api auth_type password
    iniset "$MASAKARI_MONITORS_CONF" api auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$MASAKARI_MONITORS_CONF" api username "$TACHI_MONITOR_USER"
    iniset "$MASAKARI_MONITORS_CONF" api password "$SERVICE_PASSWORD"
    iniset "$MASAKARI_MONITORS_CONF" api project_name "$SERVICE_PROJECT_NAME"
    iniset "$MASAKARI_MONITORS_CONF" api user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$MASAKARI_MONITORS_CONF" api project_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$MASAKARI_MONITORS_CONF" api region "$REGION_NAME"
    iniset "$MASAKARI_MONITORS_CONF" api api_interface public
    if is_service_enabled tls-proxy; then
        iniset "$MASAKARI_MONITORS_CONF" api cafile "$SSL_BUNDLE_FILE"
    fi

    local list=$MASAKARI_MONITORS_CONF_DIR/process_list.yaml
    iniset "$MASAKARI_MONITORS_CONF" process process_list_path "$list"
    install -m 0640 "${TACHI_PROCESS_LIST:-/dev/null}" "$list"
}

# start_tachi_monitors() - Each where there is something for it to watch
function start_tachi_monitors {
    stop_tachi_monitors
    local group=""
    if [[ "$VIRT_DRIVER" == "libvirt" ]]; then group=$LIBVIRT_GROUP; fi
    start_tachi_monitor masakari-processmonitor process
    if is_service_enabled n-cpu && [[ "$VIRT_DRIVER" == "libvirt" ]]; then
        start_tachi_monitor masakari-instancemonitor instance "$group"
        start_tachi_monitor masakari-introspectiveinstancemonitor introspective "$group"
    else
        skip_tachi_monitor masakari-instancemonitor "no nova-compute with libvirt here"
        skip_tachi_monitor masakari-introspectiveinstancemonitor "no nova-compute with libvirt here"
    fi
    if has_tachi_cluster; then
        start_tachi_monitor masakari-hostmonitor host
    else
        skip_tachi_monitor masakari-hostmonitor "no Pacemaker here, and [host] monitoring_driver names nothing else"
    fi
}

# has_tachi_cluster() - Whether something tells the host monitor about other hosts; DevStack itself installs no cluster
function has_tachi_cluster {
    case "$(iniget "$MASAKARI_MONITORS_CONF" host monitoring_driver)" in
        "" | default | simple) type -p crm_mon >/dev/null ;;
        *) true ;;
    esac
}

# start_tachi_monitor(service, monitor, group)
function start_tachi_monitor {
    run_process "$1" "$TACHI_BIN_DIR/tachi-monitor $2 --config-file $MASAKARI_MONITORS_CONF" "${3:-}"
}

# skip_tachi_monitor(service, why)
function skip_tachi_monitor {
    if is_service_enabled "$1"; then echo_summary "$1 is not started: $2"; fi
}

function stop_tachi_monitors {
    local service
    for service in hostmonitor processmonitor instancemonitor introspectiveinstancemonitor; do
        stop_process "masakari-$service"
    done
}

function cleanup_tachi_monitors {
    sudo rm -f "$MASAKARI_MONITORS_CONF" "$MASAKARI_MONITORS_CONF_DIR/process_list.yaml"
    remove_if_empty "$MASAKARI_MONITORS_CONF_DIR"
}
