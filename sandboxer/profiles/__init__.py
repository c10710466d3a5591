"""From YAML to manifests: reading, locating and checking. Any input yields only manifests and diagnostics."""
