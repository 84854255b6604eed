"""What tests of event-driven code stand on: virtual time, an in-memory Redis, handlers run in process."""
