"""What people and programs read: plans, handles and diagnostics as text, JSON, Markdown and more."""
