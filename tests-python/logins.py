"""Logs in through python-irodsclient in the ways that need TLS, and that TLS is refused without.

    IRODS_ENVIRONMENT_FILE=... SCRATCH=DIR logins.py

The zone's password file must know anna with the password "the; site's = own\\".
"""

import json
import os
import ssl

import irods.client_configuration as cfg
import irods.exception as ex
from irods.helpers import make_session
from irods.session import iRODSSession

PASSWORD = "the; site's = own\\"

with open(os.environ["IRODS_ENVIRONMENT_FILE"]) as file:
    environment = json.load(file)
common = {
    "host": environment["irods_host"],
    "port": environment["irods_port"],
    "zone": environment["irods_zone_name"],
}
encrypted = {key.removeprefix("irods_"): value for key, value in environment.items() if "ssl_" in key or "encryption_" in key}
encrypted["client_server_negotiation"] = environment["irods_client_server_negotiation"]
encrypted["client_server_policy"] = environment["irods_client_server_policy"]


def works(session):
    with session as opened:
        home = opened.collections.get(f"/{opened.zone}/home/{opened.username}")
        path = f"{home.path}/object"
        content = os.urandom(3_000_000)
        with opened.data_objects.open(path, "w") as stream:
            stream.write(content)
        with opened.data_objects.open(path, "r") as stream:
            assert stream.read() == content
        opened.data_objects.unlink(path, force=True)
        connection = opened.pool.get_connection()
        assert connection.socket.version().startswith("TLS"), connection.socket
        connection.release()


def refused(session, *errors):
    try:
        works(session)
    except errors:
        return
    raise AssertionError("not refused")


# The environment file is enough.
works(make_session())

with make_session() as rods:
    rods.users.create("anna", "rodsuser")

anna = {**common, **encrypted, "user": "anna"}
# The plugins of 4.3, and the calls of old.
works(iRODSSession(**anna, password=PASSWORD, authentication_scheme="pam_password"))
refused(
    iRODSSession(**anna, password="wrong", authentication_scheme="pam_password"),
    ex.PAM_AUTH_PASSWORD_FAILED,
)
with cfg.loadlines(entries=[{"setting": "legacy_auth.force_legacy_auth", "value": True}]):
    works(iRODSSession(**anna, password=PASSWORD, authentication_scheme="pam_password"))
    with cfg.loadlines(entries=[{"setting": "legacy_auth.pam.force_use_of_dedicated_pam_api", "value": True}]):
        works(iRODSSession(**anna, password=PASSWORD, authentication_scheme="pam_password"))

# Who does not trust the zone's certificate does not get in, and who wants no TLS neither.
# (Without any file or directory python-irodsclient trusts everybody.)
distrustful = {**anna, "ssl_ca_certificate_file": None, "ssl_ca_certificate_path": os.environ["SCRATCH"]}
refused(iRODSSession(**distrustful, password=PASSWORD, authentication_scheme="pam_password"), ssl.SSLError)
refused(iRODSSession(**common, user="anna", password=PASSWORD), ex.NetworkException, ex.SYS_INVALID_INPUT_PARAM)
print("logged in")
