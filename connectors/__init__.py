"""How records come in and how feedback goes out to the units."""
