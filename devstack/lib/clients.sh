# shellcheck shell=bash
# What uses the API: the plug-in of the openstack command, the dashboard, tempest's configuration, a first segment.

function install_masakariclient {
    if use_library_from_git python-masakariclient; then
        git_clone_by_name python-masakariclient
        setup_dev_lib python-masakariclient
    else
        pip_install_gr python-masakariclient
    fi
}

# Where Horizon looks for what the dashboard brings: folder in the dashboard, file, folder in Horizon
TACHI_DASHBOARD_FILES="local/enabled/_50_masakaridashboard.py
local/local_settings.d/_50_masakari.py
conf/masakari_policy.yaml"

function install_masakaridashboard {
    git_clone "$MASAKARI_DASHBOARD_REPO" "$MASAKARI_DASHBOARD_DIR" "$MASAKARI_DASHBOARD_BRANCH"
    setup_develop "$MASAKARI_DASHBOARD_DIR"
    local file
    for file in $TACHI_DASHBOARD_FILES; do
        ln -fs "$MASAKARI_DASHBOARD_DIR/masakaridashboard/$file" "$HORIZON_DIR/openstack_dashboard/$file"
    done
}

function uninstall_masakaridashboard {
    local file
    for file in $TACHI_DASHBOARD_FILES; do
        rm -f "$HORIZON_DIR/openstack_dashboard/$file"
    done
}

# configure_tachi_tempest() - Tests of tempest plug-ins ask for these
function configure_tachi_tempest {
    iniset "$TEMPEST_CONFIG" service_available masakari True
    iniset "$TEMPEST_CONFIG" instance_ha min_compute_nodes 2
    iniset "$TEMPEST_CONFIG" instance_ha segment_prefix tempest
}

# create_tachi_sample_segment() - A segment with every compute host that Nova knows by now
function create_tachi_sample_segment {
    local segment hosts host
    segment=$TACHI_SAMPLE_SEGMENT
    if ! tachi_openstack segment show "$segment" >/dev/null 2>&1; then
        tachi_openstack segment create "$segment" auto COMPUTE >/dev/null
    fi
    hosts=$(tachi_openstack segment host list "$segment" -f value -c name)
    for host in $(tachi_openstack compute service list --service nova-compute -f value -c Host); do
        if ! grep -qxF -- "$host" <<<"$hosts"; then
            tachi_openstack segment host create "$host" COMPUTE SSH "$segment" >/dev/null
        fi
    done
}

function tachi_openstack {
    openstack --os-cloud devstack-admin "$@"
}
