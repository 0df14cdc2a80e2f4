# shellcheck shell=bash
# API and engine: configuration, database, processes.

# Names of the API's ways through Apache: the route /instance-ha, and the TLS proxy of its port
TACHI_SITE=tachi-api
TACHI_TLS_SITE=masakari-service

function is_tachi_control_enabled {
    is_service_enabled masakari-api masakari-engine
}

# tachi_listen_port() - Where the API itself listens: below the TLS proxy if there is one
function tachi_listen_port {
    if is_service_enabled tls-proxy && [[ "$MASAKARI_USE_MOD_WSGI" != "True" ]]; then
        echo "$MASAKARI_SERVICE_PORT_INT"
    else
        echo "$MASAKARI_SERVICE_PORT"
    fi
}

# configure_tachi() - Writes masakari.conf and what belongs beside it, anew
function configure_tachi {
    sudo install -d -o "$STACK_USER" -m 0750 "$MASAKARI_CONF_DIR" "$TACHI_STATE_DIR"
    # It holds passwords: made empty with its mode before anything is written into it.
    rm -f "$MASAKARI_CONF"
    install -m 0640 /dev/null "$MASAKARI_CONF"

    iniset "$MASAKARI_CONF" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$MASAKARI_CONF" DEFAULT state_path "$TACHI_STATE_DIR"
    iniset "$MASAKARI_CONF" DEFAULT masakari_api_workers "$API_WORKERS"
    iniset "$MASAKARI_CONF" DEFAULT graceful_shutdown_timeout "$SERVICE_GRACEFUL_SHUTDOWN_TIMEOUT"
    iniset "$MASAKARI_CONF" DEFAULT masakari_api_listen_port "$(tachi_listen_port)"
    iniset "$MASAKARI_CONF" DEFAULT osapi_masakari_link_prefix "$(tachi_url)"
    if [[ "$MASAKARI_USE_MOD_WSGI" == "True" ]] || is_service_enabled tls-proxy; then
        # Apache stands before it.
        iniset "$MASAKARI_CONF" DEFAULT masakari_api_listen "$SERVICE_LOCAL_HOST"
        iniset "$MASAKARI_CONF" oslo_middleware enable_proxy_headers_parsing True
    else
        iniset "$MASAKARI_CONF" DEFAULT masakari_api_listen "$(tr -d '[]' <<<"$SERVICE_LISTEN_ADDRESS")"
    fi
    iniset "$MASAKARI_CONF" database connection "$(database_connection_url masakari)"
    iniset_rpc_backend masakari "$MASAKARI_CONF" DEFAULT

    configure_keystone_authtoken_middleware "$MASAKARI_CONF" masakari keystone_authtoken instance-ha
    # DevStack names the file always and makes it for TLS only; a CA file that is named and is not there ends our start.
    if [[ ! -e "$SSL_BUNDLE_FILE" ]]; then
        inidelete "$MASAKARI_CONF" keystone_authtoken cafile
    fi
    iniset "$MASAKARI_CONF" DEFAULT os_privileged_user_auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$MASAKARI_CONF" DEFAULT os_privileged_user_name masakari
    iniset "$MASAKARI_CONF" DEFAULT os_privileged_user_password "$SERVICE_PASSWORD"
    iniset "$MASAKARI_CONF" DEFAULT os_privileged_user_tenant "$SERVICE_PROJECT_NAME"
    iniset "$MASAKARI_CONF" DEFAULT os_user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$MASAKARI_CONF" DEFAULT os_project_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$MASAKARI_CONF" DEFAULT os_region_name "$REGION_NAME"
    if is_service_enabled tls-proxy; then
        iniset "$MASAKARI_CONF" DEFAULT nova_ca_certificates_file "$SSL_BUNDLE_FILE"
    fi

    iniset "$MASAKARI_CONF" api reporter_binding "$TACHI_REPORTER_BINDING"
    iniset "$MASAKARI_CONF" fencing mode "$TACHI_FENCING_MODE"
    iniset "$MASAKARI_CONF" fencing normal_without_evidence "$TACHI_NORMAL_WITHOUT_EVIDENCE"
    rm -f "$MASAKARI_CONF_DIR/fencing.toml"
    if [[ -n "$TACHI_FENCING_FILE" ]]; then
        install -m 0640 "$TACHI_FENCING_FILE" "$MASAKARI_CONF_DIR/fencing.toml"
        iniset "$MASAKARI_CONF" fencing devices_file "$MASAKARI_CONF_DIR/fencing.toml"
    fi

    # What lets the monitors' role report failures. Files of others in the folder stay.
    install -d -m 0750 "$MASAKARI_CONF_DIR/policy.d"
    sed "s/role:masakari_monitor/role:$TACHI_MONITOR_ROLE/" "$TACHI_DIR/docs/policy-monitor.yaml" \
        >"$MASAKARI_CONF_DIR/policy.d/10-monitor.yaml"

    "$TACHI_BIN_DIR/tachi" config show --config-file "$MASAKARI_CONF" >/dev/null ||
        die $LINENO "the configuration in $MASAKARI_CONF is refused; the options named above come from local.conf or from this plug-in"
}

# init_tachi() - An empty database with our tables
function init_tachi {
    if ! is_service_enabled "$DATABASE_BACKENDS"; then
        # The database is another node's, and so are its contents.
        return
    fi
    # What is left from before would go on with a database that is gone.
    stop_tachi
    recreate_database masakari
    "$TACHI_BIN_DIR/tachi" db sync --config-file "$MASAKARI_CONF" || die $LINENO "tachi db sync failed"
}

# start_tachi() - Starts the processes anew, and tells the world where the API is
function start_tachi {
    stop_tachi
    if is_service_enabled masakari-api; then
        run_process masakari-api "$TACHI_BIN_DIR/tachi api --config-file $MASAKARI_CONF"
        if [[ "$MASAKARI_USE_MOD_WSGI" == "True" ]]; then
            write_local_proxy_http_config "$TACHI_SITE" "http://$APACHE_LOCAL_HOST:$(tachi_listen_port)" /instance-ha
        elif is_service_enabled tls-proxy; then
            start_tls_proxy "$TACHI_TLS_SITE" '*' "$MASAKARI_SERVICE_PORT" "$SERVICE_LOCAL_HOST" "$(tachi_listen_port)"
        fi
        echo "Waiting for the API of Tachi to answer..."
        # It is waited for at its own port first: Apache's 503 and a wrong route are then told apart.
        wait_for_service "$SERVICE_TIMEOUT" "http://$(tachi_local_host):$(tachi_listen_port)/healthcheck" ||
            die $LINENO "masakari-api did not start: journalctl -u devstack@masakari-api"
        curl --fail --silent --insecure --noproxy '*' --output /dev/null "$(tachi_url)/healthcheck" ||
            die $LINENO "masakari-api runs, but is not well or not reached: curl -i $(tachi_url)/healthcheck"
    fi
    if is_service_enabled masakari-engine; then
        run_process masakari-engine "$TACHI_BIN_DIR/tachi engine --config-file $MASAKARI_CONF"
    fi
}

# tachi_local_host() - This machine in an address
function tachi_local_host {
    if [[ "$SERVICE_LOCAL_HOST" == *:* ]]; then echo "[$SERVICE_LOCAL_HOST]"; else echo "$SERVICE_LOCAL_HOST"; fi
}

function stop_tachi {
    stop_process masakari-engine
    stop_process masakari-api
}

# cleanup_tachi() - Removes what configure_tachi and start_tachi wrote, and nothing of others
function cleanup_tachi {
    local name site
    for name in "$TACHI_SITE" "$TACHI_TLS_SITE-tls-proxy"; do
        site=$(apache_site_config_for "$name")
        if [[ -e "$site" ]]; then
            disable_apache_site "$name"
            # Fedora's way of disabling a site is to rename it.
            sudo rm -f "$site" "$site.disabled"
            restart_apache_server
        fi
    done
    sudo rm -f "$MASAKARI_CONF" "$MASAKARI_CONF_DIR/fencing.toml" "$MASAKARI_CONF_DIR/policy.d/10-monitor.yaml"
    remove_if_empty "$MASAKARI_CONF_DIR/policy.d" "$MASAKARI_CONF_DIR"
}

# remove_if_empty(folder...) - In this order
function remove_if_empty {
    local folder
    for folder in "$@"; do
        if [[ -d "$folder" ]]; then sudo rmdir --ignore-fail-on-non-empty "$folder"; fi
    done
}
