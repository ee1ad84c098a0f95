"""Speech synthesis engines, one file each."""
