"""ACME (RFC 8555). The only package that imports ``acme`` and ``josepy``, and only when a function here is called."""
