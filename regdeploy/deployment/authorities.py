"""The CAs that are known by a short name. A new one is a line here."""

from __future__ import annotations

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

#: Directory URLs by the names that ``--acme-directory`` takes in their place.
DIRECTORIES = {
    "letsencrypt": LETS_ENCRYPT,
    "letsencrypt-staging": LETS_ENCRYPT_STAGING,
    "zerossl": "https://acme.zerossl.com/v2/DV90",
    "google": "https://dv.acme-v02.api.pki.goog/directory",
    "sslcom": "https://acme.ssl.com/sslcom-dv-ecc",
}
