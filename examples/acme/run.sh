#!/bin/sh
# HTTPS with a certificate from a CA that speaks ACME; without REGDEPLOY_ACME_DIRECTORY that is Let's Encrypt.
#   ./run.sh regisry.lagoudocker.io < password
# Port 80 of this host must be reachable from the CA under that name.
set -eu

regdeploy doctor --domain "$1"
regdeploy up --domain "$1" --user ops --password-stdin
regdeploy status
