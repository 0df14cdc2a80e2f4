# shellcheck shell=bash
# What Keystone must know of us. Every function may be called again.

# create_tachi_accounts() - On the node that has Keystone, for all nodes
#
# project   user                    roles
# service   masakari                service, admin       API and engine
# service   masakari-monitor-HOST   masakari_monitor     the monitors of a host: may report its failures and nothing else
function create_tachi_accounts {
    create_service_user masakari admin

    get_or_create_role "$TACHI_MONITOR_ROLE"
    local user host users=("$TACHI_MONITOR_USER")
    for host in $TACHI_MONITOR_HOSTS; do users+=("masakari-monitor-$host"); done
    for user in "${users[@]}"; do
        get_or_create_user "$user" "$SERVICE_PASSWORD" "$SERVICE_DOMAIN_NAME"
        get_or_add_user_project_role "$TACHI_MONITOR_ROLE" "$user" "$SERVICE_PROJECT_NAME" \
            "$SERVICE_DOMAIN_NAME" "$SERVICE_DOMAIN_NAME"
    done

    if is_service_enabled masakari-api; then
        get_or_create_service masakari instance-ha "OpenStack High Availability"
        get_or_create_endpoint masakari "$REGION_NAME" "$(tachi_url)/v1/\$(tenant_id)s"
    fi
}

# tachi_url() - What users of the API call, without the version
function tachi_url {
    if [[ "$MASAKARI_USE_MOD_WSGI" == "True" ]]; then
        echo "$MASAKARI_SERVICE_PROTOCOL://$MASAKARI_SERVICE_HOST/instance-ha"
    else
        echo "$MASAKARI_SERVICE_PROTOCOL://$MASAKARI_SERVICE_HOST:$MASAKARI_SERVICE_PORT"
    fi
}
