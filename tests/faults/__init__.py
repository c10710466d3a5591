"""The fault matrix: each fault that is promised to do no harm, on real hosts. ``docs/reliability.md`` has its table."""
