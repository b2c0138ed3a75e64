"""The command line: open, call the API, print."""
