"""Pictures of a night in a terminal: an object of `query/views` and a screen become lines. Pure."""
