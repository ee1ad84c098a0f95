"""How words become subtitle cues, step by step."""
