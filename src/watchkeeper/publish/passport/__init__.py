"""MODEL_PASSPORT.json: what a checkpoint is, how it is fed, and which run made it."""
