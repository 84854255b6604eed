"""The event sources and targets that eventrouter ships with: one folder each, found by entry point."""
