"""The output for people and programs: plans, handles and diagnostics as text, JSON, Markdown and more."""
