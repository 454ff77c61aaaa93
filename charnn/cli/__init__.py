"""The command line: parses, builds a config, makes one library call, draws."""
