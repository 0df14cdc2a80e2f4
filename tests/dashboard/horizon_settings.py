"""Horizon with the plug-in, as the plug-in's own tests set it up, but with a real Keystone and the real URLs."""
import os

from masakaridashboard.test.settings import *  # noqa: F401,F403

ALLOWED_HOSTS = ["*"]
OPENSTACK_KEYSTONE_URL = os.environ["TACHI_TEST_AUTH_URL"]
OPENSTACK_KEYSTONE_MULTIDOMAIN_SUPPORT = False
OPENSTACK_KEYSTONE_DEFAULT_DOMAIN = "Default"
AVAILABLE_REGIONS = []
ROOT_URLCONF = "openstack_dashboard.urls"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
API_RESULT_LIMIT = 100
API_RESULT_PAGE_SIZE = 2
DEBUG = False
