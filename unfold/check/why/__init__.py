"""Where a wrong gradient comes from, and what excuses it."""
