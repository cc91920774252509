"""The course's own tools: set-up, mirror, notebook checks, course runner."""
