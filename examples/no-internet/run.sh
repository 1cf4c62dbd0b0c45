#!/bin/sh
# A host without any way out: the image comes as a file, the certificate from a CA that regdeploy makes.
# On a machine with internet:  docker pull registry:3 && docker save -o registry.tar registry:3
# Then, here:  ./run.sh registry.corp.internal registry.tar < password
set -eu

regdeploy up --domain "$1" --tls internal --image-archive "$2" --user ops --password-stdin
regdeploy trust
regdeploy status
