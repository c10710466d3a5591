"""The fault matrix: each fault that must do no harm, on real hosts. ``docs/reliability.md`` has its table."""
