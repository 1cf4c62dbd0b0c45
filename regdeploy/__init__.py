"""regdeploy: one command turns a Docker host into a private image registry over HTTPS, and keeps it that way."""

__version__ = "0.1.0"
