"""model → replies → request log: slots, an engine, an HTTP server, a page to chat on."""
