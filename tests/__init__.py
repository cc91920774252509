"""Mirrors minillm/, and adds the checks of the course itself."""
