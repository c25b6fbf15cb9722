"""Flow matching and the Gaussian noise that it draws."""
