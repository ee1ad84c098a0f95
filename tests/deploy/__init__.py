"""The files below deploy/, each with the program it is for."""
