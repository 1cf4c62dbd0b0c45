"""The spine. Read in this order: spec, observed, steps, plan (all pure), observe, apply, operations."""
