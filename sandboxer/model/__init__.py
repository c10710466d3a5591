"""The values that all layers share: manifests, desired, observed, record, plan and diagnostics; and the protocols."""
