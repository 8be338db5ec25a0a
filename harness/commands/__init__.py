"""One file a command. Heavy parts are imported when a command runs, so that --help is quick."""
