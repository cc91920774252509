"""One process → many: the same model from more machines, exactly."""
