"""Certificates: what one is, how it is obtained, kept and renewed. Blind to engines and registries."""
