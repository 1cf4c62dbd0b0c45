"""Control of a name proved by its DNS (dns-01, RFC 8555 section 8.4): ``solver`` is the way in.

``zones`` finds where a record belongs, a provider (``rfc2136``, ``hook``, ``lexicon``) puts it there, ``propagation``
waits until the zone's name servers all have it. The client alone loads this, when dns-01 is what it is to use.
"""
