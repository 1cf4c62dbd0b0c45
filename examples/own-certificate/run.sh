#!/bin/sh
# HTTPS with a certificate that you bring: the file with the chain, and its key, both PEM.
#   ./run.sh registry.example.com fullchain.pem privkey.pem < password
# Bring the next one the same way: regdeploy checks it, makes it current and restarts the registry.
set -eu

regdeploy up --domain "$1" --cert "$2" --key "$3" --user ops --password-stdin --yes
regdeploy status
