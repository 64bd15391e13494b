"""How a job ended, why, and whether it left what it promised."""
