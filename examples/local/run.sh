#!/bin/sh
# A registry for this host only: plain HTTP on 127.0.0.1:5000, no login.
# Nothing else can reach it, and Docker trusts loopback without HTTPS.
set -eu

regdeploy up
regdeploy status
