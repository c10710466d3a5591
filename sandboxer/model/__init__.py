"""The values that every row speaks in: manifests, desired, observed, record, plan, diagnostics, and the seams."""
