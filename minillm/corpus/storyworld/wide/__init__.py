"""Level 4, the wide world: more of everything, in tables; the levels below do not change by it."""
