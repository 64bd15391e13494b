"""What a passport and its checkpoint must hold, category by category. Pure, but for small files."""
