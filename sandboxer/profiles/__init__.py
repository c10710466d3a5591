"""From YAML to manifests: reading, locating, checking. Whatever comes in, only manifests and diagnostics come out."""
