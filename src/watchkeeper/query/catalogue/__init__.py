"""What was recorded below folders: found by one walk, remembered in the user's cache folder."""
