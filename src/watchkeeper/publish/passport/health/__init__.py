"""Whether the weights hold NaN or infinity: their own bytes are read, and no code of the model."""
