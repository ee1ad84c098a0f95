"""What Bazarr's wire needs besides its routes."""
