"""The command line: one file per noun. Parse, call, render; no logic."""
