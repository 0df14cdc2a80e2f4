#!/usr/bin/env bash
# What kolla-ansible, openstack-ansible, openstack-helm and the charm write starts us.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
apt_need openssl openssl
apt_need ip iproute2
python="$(python_environment deployments "$REPO/tests/deployments/requirements.txt" /dev/null)"
# Its templates are in its wheel; what it depends on (a whole Ansible) is not needed to render them.
kolla="$CACHE/kolla-ansible-22.2.0"
if [ ! -d "$kolla" ]; then
  wheel="$(mktemp -d)"
  "$python/bin/pip" download --disable-pip-version-check --no-input --quiet --no-deps -d "$wheel" kolla-ansible==22.2.0 ||
    die "kolla-ansible could not be had from PyPI"
  "$python/bin/python" -m zipfile -e "$wheel"/*.whl "$kolla.new"
  mv "$kolla.new" "$kolla"
  rm -rf "$wheel"
fi
if [ -n "${TACHI_OPENSTACK_HELM:-}" ]; then
  helm="$(python_environment helm "$REPO/tests/deployments/helm-requirements.txt" /dev/null)"
  check "Helm renders the chart in $TACHI_OPENSTACK_HELM as it is kept" "$helm/bin/python" "$REPO/tests/deployments/helm.py" "$TACHI_OPENSTACK_HELM"
fi
failed=0
script_counted "$REPO/tests/deployments/run.sh" "$TACHI" "$MONITOR" "$python/bin/python" "$kolla" || failed=1
checks_done && [ "$failed" -eq 0 ]
